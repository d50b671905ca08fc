"""An OpenAI-style HTTP server around one inference engine."""
