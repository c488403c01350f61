package rtmp

import (
	"context"
	"net"
)

// Handler decides what clients may do and takes their streams. Every method may wait; it should
// return soon after ctx ends.
type Handler interface {
	// Connect is called before connect is answered. An error refuses the connection: a *StatusError
	// is told to the client as it is, for any other it hears of an internal error. The same holds
	// for Publish, and for Play before it calls Start.
	Connect(ctx context.Context, r *ConnectRequest) error
	// Publish is called before a publish is answered.
	Publish(ctx context.Context, r *PublishRequest) (Publication, error)
	// Play serves one playback and returns when it is over, or has been detached. It has a
	// goroutine of its own. ctx ends when the client stops the playback (ErrStopped), asks for
	// another one on the same stream (ErrReplaced), or the connection ends, for whatever cause.
	//
	// A connection whose playback ended by ErrStopped or ErrReplaced goes on if Play leaves the
	// output at a message boundary and returns nil or that cause. In every other case the
	// connection is closed when Play returns after Start; what is to reach the client must have
	// been written by then.
	Play(ctx context.Context, r *PlayRequest, s *PlayStream) error
	// Stray is called for the first audio, video or data message of a connection to a message
	// stream on which it does not publish. All such messages are dropped.
	Stray(streamID uint32, messageType uint8)
}

// Publication takes what a client publishes. It is used by one goroutine.
type Publication interface {
	// Message takes one audio, video or data message. An error ends the connection.
	Message(m Message) error
	// Close is called exactly once, at the end. cause is ErrUnpublished if the publisher said that
	// its stream is over, the argument of PublishRequest.Close, io.EOF, or another reason for which
	// the connection ended.
	Close(cause error)
}

// Control is what a connection needs of the one who writes to its socket during a playback. Its
// methods do not wait.
type Control interface {
	// Post hands over whole messages, to be written soon and between two messages. b belongs to the
	// callee. An error ends the connection.
	Post(b []byte) error
	// Pause says that the client paused its playback, or resumed it.
	Pause(paused bool)
}

// ConnectRequest is what a client said in connect, as far as it is of use: it is kept as long as
// the connection, so its texts are cut.
type ConnectRequest struct {
	// App is the application without query and trailing slashes, as the client sent it.
	App string
	// Query is what followed a question mark in the application.
	Query string
	// TCURL is the URL of the connection as the client tells it. It is for display: never derive a
	// name from it.
	TCURL    string
	FlashVer string
	// CapsEx is capsEx of Enhanced RTMP v2, "Enhancing NetConnection connect Command": a set of the
	// Caps bits.
	CapsEx     uint32
	RemoteAddr net.Addr
	// Path is what servers of this program tell each other (ClientOptions.Path), about 1 KB at
	// most.
	Path []string

	conn *serverConn
}

// Bits of ConnectRequest.CapsEx (enum CapsExMask).
const (
	CapReconnect           = 0x01
	CapMultitrack          = 0x02
	CapModEx               = 0x04
	CapTimestampNanoOffset = 0x08
)

// canForward is the bit of enum FourCcInfoMask that a server which passes everything on declares.
const canForward = 0x04

// CanReconnect says whether the client declared that it connects again when it is asked to.
func (r *ConnectRequest) CanReconnect() bool { return r.CapsEx&CapReconnect != 0 }

// RequestReconnect asks the client to connect again, to the same place if tcURL is empty (Enhanced
// RTMP v2, "Reconnect Request"). It reports whether the client was asked: false if it did not
// declare that it can. It may be called from any goroutine and waits no longer than the write
// timeout.
func (r *ConnectRequest) RequestReconnect(tcURL, description string) (bool, error) {
	if !r.CanReconnect() {
		return false, nil
	}
	return true, r.conn.send(appendReconnect(nil, tcURL, description))
}

// PublishRequest is what a client said in publish.
type PublishRequest struct {
	*ConnectRequest
	// StreamID is the message stream.
	StreamID uint32
	// Name is the publishing name without its query, Query the query.
	Name, Query string
	// Type is "live", "record" or "append".
	Type string
}

// Close ends the connection: its publications are closed with status, and the client is told. It
// returns at once and may be called from any goroutine, any number of times; the first cause
// counts.
func (r *PublishRequest) Close(status *StatusError) {
	r.conn.interrupt(&refusal{streamID: r.StreamID, err: status})
}

// PlayRequest is what a client said in play or play2.
type PlayRequest struct {
	*ConnectRequest
	// StreamID is the message stream to which messages are to be sent.
	StreamID uint32
	// Name is the stream name without its query, Query the query.
	Name, Query string
	// Start and Duration are in seconds, negative for "live" and "to the end" (§7.2.2.1).
	Start, Duration float64
	// Reset: the client wants earlier playlist entries to be dropped.
	Reset bool
	// Passed, if the handler sets it before Start, is told to clients that have a Path themselves
	// (Client.Passed).
	Passed []string
}

// PlayStream is the output of one playback.
type PlayStream struct {
	conn     *serverConn
	playback *playback
}

// Start takes over the connection's output. It returns what is to be written first, the answer to
// the play command, and the connection to write to; from now on and until Play returns nobody else
// writes to it. Its write deadline is the taker's too, except that writes are made to fail once the
// client is gone. Messages must be in chunks of ChunkSize. Until Start is called the client hears
// nothing, so call it when there is something to play. ctl.Pause is called at once if the client
// has paused already. Call Start once at most.
func (s *PlayStream) Start(ctl Control) (replies []byte, nc net.Conn) {
	return s.conn.handOver(ctl, s.playback.request)
}

// Detach lets the playback go on when Play returns, so that thousands of them need no goroutine
// each. It may be called after Start, by Play. end is called exactly once, later and by another
// goroutine: it ends the playback for that cause unless it is over, waits for that, and returns
// what Play would have returned. When the playback is over by itself, Over is to be called.
func (s *PlayStream) Detach(end func(cause error) error) { s.playback.end = end }

// Over says that a playback is over, and why. It does not wait, and may be called from any
// goroutine.
func (s *PlayStream) Over(err error) {
	if !yields(err) {
		s.conn.interrupt(errPlaybackOver)
	}
}

// EndOfStream returns the messages that tell a player that its stream is over.
func EndOfStream(streamID uint32) []byte {
	b := appendStatus(nil, streamID, levelStatus, "NetStream.Play.UnpublishNotify", "The stream is over.")
	return appendUserControl(b, eventStreamEOF, streamID)
}
