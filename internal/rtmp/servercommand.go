package rtmp

import (
	"context"
	"errors"
	"strings"

	"livego/internal/amf"
)

// flashCapabilities is what Flash Media Server sends as capabilities; some clients look at it.
const flashCapabilities = 31

// command handles a command message. One that does not parse ends a connection that has not
// published or played yet, and is ignored afterwards: it must not take a stream off the air.
func (c *serverConn) command(ctx context.Context, m Message) error {
	cmd, err := parseCommand(m)
	switch {
	case err != nil && (len(c.publications) > 0 || c.playback != nil):
		return nil
	case err != nil:
		return err
	case cmd.name == "connect":
		return c.onConnect(ctx, cmd)
	case c.connect == nil:
		return protocolErrorf("command before connect") // its name may be anything, a channel key too
	}
	switch cmd.name {
	case "createStream":
		return c.send(appendResult(nil, cmd.transaction, nil, c.newStream()))
	case "publish":
		return c.onPublish(ctx, cmd)
	case "play":
		return c.onPlay(ctx, cmd)
	case "play2":
		return c.onPlay2(ctx, cmd)
	case "closeStream":
		return c.closeStream(cmd.streamID, true)
	case "deleteStream":
		return c.closeStream(uint32(cmd.number(0, float64(cmd.streamID))), false)
	case "FCUnpublish":
		return c.onFCUnpublish(cmd)
	case "pause", "pauseRaw":
		return c.onPause(cmd)
	case "seek":
		return c.onSeek(cmd)
	}
	return c.onCall(cmd)
}

// newStream returns the number of a message stream that is not in use.
func (c *serverConn) newStream() uint32 {
	for range maxMessageStreams {
		c.lastStream = c.lastStream%maxMessageStreams + 1
		_, publishes := c.publications[c.lastStream]
		if !publishes && (c.playback == nil || c.playback.request.StreamID != c.lastStream) {
			break
		}
	}
	return c.lastStream
}

// onCall answers the calls that need no more than an answer. Clients that wait for one hang without
// it, and FFmpeg takes an _error for the end of everything: only calls that nobody knows get that.
func (c *serverConn) onCall(cmd command) error {
	switch cmd.name {
	case "_result", "_error", "onStatus", "receiveAudio", "receiveVideo":
		// Answers to nothing we asked, and requests to leave out a part of what all players share.
		return nil
	case "FCPublish":
		// onFCPublish comes with the answer to publish, which alone says whether the name is
		// accepted.
		c.fcPublish = true
	case "FCSubscribe":
		status := information(levelStatus, "NetStream.Play.Start", "Subscribed.")
		if err := c.send(appendCommand(nil, Format{}, "onFCSubscribe", 0.0, nil, status)); err != nil {
			return err
		}
	case "getStreamLength":
		return c.answer(cmd, 0.0) // live streams have none
	case "releaseStream", "_checkbw":
	default:
		if cmd.transaction == 0 {
			return nil
		}
		return c.send(appendFailure(nil, cmd.transaction, &StatusError{Code: "NetConnection.Call.Failed", Description: "Method not found."}))
	}
	return c.answer(cmd, amf.Undefined{})
}

// answer sends the result of a call, if the client asked for one.
func (c *serverConn) answer(cmd command, value any) error {
	if cmd.transaction == 0 {
		return nil
	}
	return c.send(appendResult(nil, cmd.transaction, nil, value))
}

func (c *serverConn) onConnect(ctx context.Context, cmd command) error {
	if c.connect != nil {
		status := &StatusError{Code: CodeConnectRejected, Description: "Already connected."}
		return c.send(appendFailure(nil, cmd.transaction, status))
	}
	object := amf.Properties(cmd.object)
	if _, text := object.Get("app").(string); !text && object.Get("app") != nil {
		return &refusal{connect: true, transaction: cmd.transaction, err: &StatusError{Code: CodeConnectRejected, Description: "The app is not a text."}}
	}
	r := connectRequest(object)
	r.RemoteAddr, r.conn = c.nc.RemoteAddr(), c
	if err := c.handler.Connect(ctx, r); err != nil {
		return &refusal{connect: true, transaction: cmd.transaction, err: asStatus(err, "NetConnection.Connect.Failed")}
	}
	c.connect = r
	return c.send(c.appendConnected(appendGreeting(nil), cmd.transaction))
}

// The longest texts of clients that are kept, in bytes. Apps and names may have tokens in their
// queries.
const (
	maxText  = 4 << 10 // of an app, a name, and their queries
	maxTCURL = 512
	maxAgent = 128 // of flashVer
)

// connectRequest reads the command object of connect (§7.2.1.1). Values of the wrong type count as
// missing.
func connectRequest(o amf.Object) *ConnectRequest {
	r := &ConnectRequest{
		TCURL:    cut(o.String("tcUrl"), maxTCURL),
		FlashVer: cut(o.String("flashVer"), maxAgent),
		CapsEx:   uint32(o.Number("capsEx")),
		Path:     pathIn(o),
	}
	app, query := splitQuery(cut(o.String("app"), maxText))
	r.App, r.Query = strings.TrimRight(app, "/"), query
	return r
}

// cut returns the beginning of a text, in memory of its own.
func cut(text string, most int) string {
	return strings.Clone(strings.ToValidUTF8(text[:min(len(text), most)], "\uFFFD"))
}

// appendGreeting appends what precedes the first command that a client gets. It makes all later
// messages legal: they are in chunks of ChunkSize.
func appendGreeting(dst []byte) []byte {
	dst = appendWindowAckSize(dst, peerWindow)
	dst = appendSetPeerBandwidth(dst, peerWindow, limitDynamic)
	return appendSetChunkSize(dst, ChunkSize)
}

// appendConnected appends the answer to connect. It states what this server can do, whatever the
// client can: it passes every codec on, and messages with several tracks or with ModEx unchanged;
// HLS uses the nanoseconds in those.
func (c *serverConn) appendConnected(dst []byte, transaction float64) []byte {
	caps := CapMultitrack | CapModEx | CapTimestampNanoOffset
	if c.opt.Reconnect {
		caps |= CapReconnect
	}
	forward := amf.Object{{Name: "*", Value: canForward}}
	properties := amf.Object{
		{Name: "fmsVer", Value: strings.TrimSuffix("livego/"+c.opt.Version, "/")},
		{Name: "capabilities", Value: flashCapabilities},
		{Name: "capsEx", Value: caps},
		{Name: "fourCcList", Value: amf.StrictArray{"*"}},
		{Name: "videoFourCcInfoMap", Value: forward},
		{Name: "audioFourCcInfoMap", Value: forward},
	}
	info := information(levelStatus, "NetConnection.Connect.Success", "Connection succeeded.")
	info = append(info, amf.Property{Name: "objectEncoding", Value: 0})
	return appendResult(dst, transaction, properties, info)
}

// appendReconnect appends the reconnect request of Enhanced RTMP v2.
func appendReconnect(dst []byte, tcURL, description string) []byte {
	info := information(levelStatus, "NetConnection.Connect.ReconnectRequest", description)
	if tcURL != "" {
		info = append(info, amf.Property{Name: "tcUrl", Value: tcURL})
	}
	return appendCommand(dst, Format{}, "onStatus", 0.0, nil, info)
}

// refusal is an error with what is needed to tell the client.
type refusal struct {
	connect     bool    // it answers connect
	transaction float64 // of connect
	streamID    uint32
	err         error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// appendRefusal appends what tells a client why its connection ends. r may be nil.
func (c *serverConn) appendRefusal(dst []byte, r *refusal, status *StatusError) []byte {
	if c.connect == nil {
		dst = appendGreeting(dst)
	}
	if r != nil && r.connect {
		return appendFailure(dst, r.transaction, status)
	}
	var streamID uint32
	if r != nil {
		streamID = r.streamID
	}
	return appendStatus(dst, streamID, status.Level, status.Code, status.Description)
}

// asStatus returns err if it is one for the client, else a status with this code that hides it.
func asStatus(err error, code string) error {
	var status *StatusError
	if errors.As(err, &status) {
		return err
	}
	return &StatusError{Code: code, Description: "Internal error.", Err: err}
}
