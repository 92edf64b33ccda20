//! TLS to the server.
