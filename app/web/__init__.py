"""The server: routes, exports, limits and the typed endpoints."""
