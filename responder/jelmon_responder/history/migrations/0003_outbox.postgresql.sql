ALTER TABLE jelmore.action_log ADD COLUMN attempted_at timestamptz;
COMMENT ON COLUMN jelmore.action_log.attempted_at IS
    'When the action was about to be requested; from then on it is not requested again.';

ALTER TABLE jelmore.letter DROP CONSTRAINT letter_outcome_check;
ALTER TABLE jelmore.letter ADD CONSTRAINT letter_outcome_check
    CHECK (outcome IN ('sent', 'failed', 'unknown', 'refused'));
ALTER TABLE jelmore.letter ADD COLUMN reason text NOT NULL DEFAULT '';
CREATE INDEX letter_refused ON jelmore.letter (left_at DESC) WHERE outcome = 'refused';
COMMENT ON COLUMN jelmore.letter.reason IS 'Why the mail server will never accept it; empty unless outcome is refused.';
