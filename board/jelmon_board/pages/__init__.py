"""The pages: what each one shows, and the requests that change something."""
