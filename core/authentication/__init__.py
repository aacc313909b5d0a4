"""Hold what authentication plugins share: identities, consumers, the base of authenticators."""
