"""As much of lmms-eval 0.7.3 as the plugin touches, with its checks; a request is a prompt."""
