package cluster

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"livego/internal/flv"
)

// Feed is a stream that comes from another node. It has one user at a time, but for Close.
type Feed struct {
	// Token is that of the home's claim. Rendition is which one comes: the first one, for who asked
	// for none.
	Token     int64
	Rendition string
	// Path are the nodes that it has passed, its home first.
	Path []string
	// MovedTo is the node that is about to have the stream, once Next has said that it has moved,
	// if that is known.
	MovedTo string

	nc  net.Conn
	flv *flv.Reader
}

// When says what who asks for a feed knows of where its stream is.
type When uint8

const (
	// Here: the node has it, as far as is known.
	Here When = iota
	// Soon: the node may be about to have it, and answers when it does.
	Soon
	// Next: the same, as the former home said, of which all is known: what the next one has of the
	// stream is wanted from the begin of its session on.
	Next
)

// whenOf reads what a node says.
func whenOf(text string) When {
	switch n, err := strconv.Atoi(text); {
	case err != nil:
		return Here
	case When(n) == Next:
		return Next
	}
	return Soon
}

// Feed asks a node for a stream, "app/stream". via are the nodes that it passes after this one. The
// error is ErrElsewhere, ErrLoop, ErrUnreachable, ErrUnauthorized, or something that the node says.
func (p *Peers) Feed(ctx context.Context, from Node, stream, rendition string, via []string, when When) (*Feed, error) {
	r, err := p.request(ctx, http.MethodGet, from, streamPath("feed", stream), renditionQuery(rendition), via)
	if err != nil {
		return nil, err
	}
	if when != Here {
		r.Header.Set(headerAwaits, strconv.Itoa(int(when)))
	}
	nc, in, answer, err := p.talk(r, answerTimeout)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		err := refusal(answer)
		_ = nc.Close()
		return nil, err
	}
	f := &Feed{Rendition: answer.Header.Get(headerRendition), Path: nodesIn(answer.Header.Get(headerPath)), nc: nc}
	if slices.Contains(f.Path, p.id) || len(f.Path) > maxHops {
		_ = nc.Close()
		return nil, ErrLoop
	}
	f.Token, _ = strconv.ParseInt(answer.Header.Get(HeaderToken), 10, 64)
	f.flv = flv.NewReader(patient{in, nc})
	return f, nil
}

// patient reads from a connection that must not be silent for long.
type patient struct {
	in *bufio.Reader
	nc net.Conn
}

func (p patient) Read(b []byte) (int, error) {
	if p.in.Buffered() == 0 {
		_ = p.nc.SetReadDeadline(time.Now().Add(silence))
	}
	return p.in.Read(b)
}

// Message is one of a stream: its RTMP type, its time in milliseconds and its body. Arrived is when
// it entered the cluster, not after now.
type Message struct {
	Type    uint8
	TimeMS  uint32
	Arrived time.Time
	Body    []byte
}

// Next returns the next message of the stream, whose body is the caller's. io.EOF: the stream is
// over; ErrMoved: it goes on at another node; any other error: the connection is over.
func (f *Feed) Next() (Message, error) {
	for {
		switch tag, err := f.flv.ReadTag(); {
		case errors.Is(err, io.EOF):
			return Message{}, io.ErrUnexpectedEOF
		case err != nil:
			return Message{}, err
		case tag.Type == tagEnd:
			return Message{}, io.EOF
		case tag.Type == tagMoved:
			f.MovedTo = cut(string(tag.Body))
			return Message{}, ErrMoved
		case tag.Type != tagPing:
			return messageOf(tag), nil
		}
	}
}

// messageOf is what a tag of another node says.
func messageOf(tag flv.Tag) Message {
	return Message{tag.Type, tag.TimestampMS, arrivedAt(tag.StreamID, time.Now()), tag.Body}
}

// Close ends the feed. A Next that waits fails. It may be called from any goroutine.
func (f *Feed) Close() error { return f.nc.Close() }
