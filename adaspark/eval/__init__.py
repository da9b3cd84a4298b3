"""The paper's questions at small scale, asked of the bundled model."""
