// Updates the parts of the page that are live, shows times in the reader's zone, and the value under the pointer.
'use strict';
(() => {
  const state = document.getElementById('state'), pause = document.getElementById('pause');
  const dateTime = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
  const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
  let paused = false, busy = false, again = false;

  function localTimes(root) {
    for (const element of root.querySelectorAll('time[datetime]')) {
      const at = new Date(element.dateTime);
      element.textContent = (Math.abs(Date.now() - at) < 43200e3 ? clock : dateTime).format(at);
      element.title = element.dateTime;
    }
  }

  function keepOpen(from, to) { // what the reader opened stays open
    const open = new Set([...from.querySelectorAll('details[open]')].map((element) => element.id));
    for (const element of to.querySelectorAll('details[id]')) element.open = open.has(element.id);
  }

  function replace(fresh) {
    for (const part of document.querySelectorAll('[data-live]')) {
      const other = fresh.getElementById(part.id);
      if (!other || other.innerHTML === part.dataset.seen) continue;
      if (part.querySelector('details[open] form')) continue; // somebody fills it in
      if (part.contains(document.activeElement) && document.activeElement.matches('input, select, textarea')) continue;
      const seen = other.innerHTML, focused = place(part);
      keepOpen(part, other);
      localTimes(other);
      part.replaceChildren(...other.childNodes);
      part.dataset.seen = seen;
      const heir = focused && [...part.querySelectorAll(focused.query)][focused.index];
      if (heir) heir.focus({ preventScroll: true });
    }
    const taken = fresh.getElementById('state');
    if (taken) { state.replaceChildren(...taken.childNodes); localTimes(state); }
  }

  function place(part) { // where the focus is, to put it on the same element of the new content
    const active = document.activeElement;
    if (!active || !part.contains(active)) return null;
    const query = 'a[href], button, summary, [tabindex]';
    return { query, index: [...part.querySelectorAll(query)].indexOf(active) };
  }

  async function refresh() {
    if (paused || document.hidden) return;
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: 'text/html' }, cache: 'no-store' });
      if (answer.ok && !paused) replace(new DOMParser().parseFromString(await answer.text(), 'text/html'));
    } catch { show(false); }
    busy = false;
    if (again) { again = false; refresh(); }
  }

  function show(connected) {
    state.classList.toggle('on', connected && !paused);
    state.classList.toggle('off', !connected || paused);
    state.title = paused ? 'paused' : connected ? 'live' : 'the board does not answer; this is old';
  }

  if (document.querySelector('[data-live]')) {
    const source = new EventSource('/live');
    source.addEventListener('open', () => show(true));
    source.addEventListener('error', () => show(false));
    source.addEventListener('tick', () => { show(true); refresh(); });
    document.addEventListener('visibilitychange', refresh);
    pause.hidden = false;
    pause.addEventListener('click', () => {
      paused = !paused;
      pause.setAttribute('aria-pressed', String(paused));
      pause.textContent = paused ? 'Continue' : 'Pause';
      document.documentElement.classList.toggle('paused', paused);
      show(true);
      refresh();
    });
    addEventListener('pagehide', () => source.close());
  }

  function words(value, unit) {
    if (unit === '%') return (value * 100).toFixed(1) + ' %';
    if (unit !== 's') return value.toFixed(value < 10 ? 1 : 0) + (unit ? ' ' + unit : '');
    if (value < 60) return value.toFixed(value < 10 ? 1 : 0) + ' s';
    const minutes = Math.floor(value / 60);
    return minutes < 60 ? minutes + 'm ' + Math.round(value % 60) + 's' : Math.floor(minutes / 60) + 'h ' + minutes % 60 + 'm';
  }

  document.addEventListener('pointermove', (event) => {
    const chart = event.target.closest && event.target.closest('svg.chart[data-values]');
    for (const old of document.querySelectorAll('svg.chart.hover')) if (old !== chart) { old.classList.remove('hover'); old.parentNode.querySelector('.tip')?.remove(); }
    if (!chart) return;
    const box = chart.getBoundingClientRect(), values = chart.dataset.values.split(',');
    const width = chart.viewBox.baseVal.width, left = 4, inner = width - 8;
    const share = Math.min(1, Math.max(0, ((event.clientX - box.left) / box.width * width - left) / inner));
    const index = Math.round(share * (values.length - 1)), value = values[index];
    const line = chart.querySelector('.cross'), x = left + inner * index / Math.max(1, values.length - 1);
    line.setAttribute('x1', x); line.setAttribute('x2', x);
    chart.classList.add('hover');
    let tip = chart.parentNode.querySelector('.tip');
    if (!tip) { tip = document.createElement('div'); tip.className = 'tip'; tip.setAttribute('aria-hidden', 'true'); chart.parentNode.append(tip); }
    const at = new Date((+chart.dataset.start + index * +chart.dataset.step) * 1000);
    tip.textContent = dateTime.format(at) + '  ' + (value === '' ? 'no value' : words(+value, chart.dataset.unit || ''));
    tip.style.left = Math.min(box.width - tip.offsetWidth, Math.max(0, x / width * box.width + 8)) + 'px';
  });

  localTimes(document);
  const zone = document.getElementById('zone');
  if (zone) zone.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const part of document.querySelectorAll('[data-live]')) part.dataset.seen = part.innerHTML;
})();
