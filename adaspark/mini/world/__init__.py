"""SparkWorld: synthetic scenes, their pictures and what is true of them."""
