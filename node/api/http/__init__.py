"""What listens and answers, whoever asks: sockets, connections, requests cut out of bytes, workers, streams."""
