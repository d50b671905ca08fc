"""The studio: a web page over the schema and the job client. Knows nothing of torch or of how a model is
trained."""
