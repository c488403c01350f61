// Package rtmp speaks RTMP on one connection, as a server (Serve) or as a client (Dial): handshake,
// chunk streams, messages and commands. It knows nothing of codecs, streams and rooms: message
// bodies pass through as they are, and a Handler decides who may publish and play what.
//
// Clauses in comments are those of "Adobe's Real Time Messaging Protocol" 1.0 (December 2012)
// unless another document is named.
//
// A connection has one goroutine that reads, the one that called Serve. A playback has a second
// one, that of Handler.Play, until it is detached. It takes all writing over when it calls
// PlayStream.Start: what the connection still has to say (acknowledgements, pongs, results) then
// goes through its Control, so that at any time exactly one goroutine writes to the socket.
//
// Nothing here logs. Every error says what the peer did and wraps one of the package's sentinels, a
// *StatusError, or what the network reported.
package rtmp
