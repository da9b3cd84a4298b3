"""Many questions about many videos: `adaspark inspect`, on one machine or on a Ray cluster."""
