"""Sessions with peers: identities, handshake, outbound connections, requests that wait for an answer."""
