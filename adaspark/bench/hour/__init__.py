"""`adaspark bench hour`: hours of video, their memory, their time, and a few frames out of them."""
