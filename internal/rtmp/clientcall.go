package rtmp

import (
	"io"

	"livego/internal/amf"
)

// command sends a command: those of a stream to the stream, others to the connection.
func (c *Client) command(transaction float64, name string, args ...any) error {
	c.outMu.Lock()
	defer c.outMu.Unlock()
	f := Format{ChunkSize: c.format.ChunkSize}
	switch name {
	case "publish", "play":
		f.StreamID = c.streamID
	}
	c.out = appendCommand(c.out, f, append([]any{name, transaction}, args...)...)
	return c.flush()
}

func (c *Client) nextTransaction() float64 {
	c.transaction++
	return c.transaction
}

// call sends a command and waits for its result.
func (c *Client) call(name string, args ...any) (command, error) {
	transaction := c.nextTransaction()
	if err := c.command(transaction, name, args...); err != nil {
		return command{}, err
	}
	c.extendRead()
	for {
		cmd, err := c.nextCommand()
		if err != nil {
			return command{}, err
		}
		switch {
		case cmd.name == "_result" && cmd.transaction == transaction:
			return cmd, nil
		case cmd.name == "_error" && cmd.transaction == transaction:
			return command{}, statusOf(cmd)
		}
		if err := c.statusEnd(cmd); err != nil {
			return command{}, err
		}
	}
}

// createStream makes the message stream (§7.2.1.3).
func (c *Client) createStream() error {
	cmd, err := c.call("createStream", nil)
	if err != nil {
		return err
	}
	c.streamID = uint32(cmd.number(0, 1))
	c.outMu.Lock()
	c.format.StreamID = c.streamID
	c.outMu.Unlock()
	return nil
}

// awaitStatus waits for an onStatus with this code, and returns its information object.
func (c *Client) awaitStatus(code string) (amf.Object, error) {
	c.extendRead()
	for {
		cmd, err := c.nextCommand()
		if err == nil {
			err = c.statusEnd(cmd)
		}
		if err != nil {
			return nil, err
		}
		if cmd.name == "onStatus" && statusOf(cmd).Code == code {
			return informationIn(cmd), nil
		}
	}
}

// nextCommand returns the next command. Media that overtakes the answer to play is kept for Read.
func (c *Client) nextCommand() (command, error) {
	for {
		m, err := c.next()
		if err != nil {
			return command{}, err
		}
		if !m.isMedia() {
			return parseCommand(m)
		}
		if c.playing && len(c.ahead) < maxPlayAhead {
			c.ahead = append(c.ahead, m)
		}
	}
}

// next returns the next media, data or command message, and answers everything else.
func (c *Client) next() (Message, error) {
	for {
		m, err := c.in.read()
		if err != nil {
			return Message{}, c.readError(err)
		}
		switch m.Type {
		case TypeAudio, TypeVideo, TypeDataAMF0, TypeDataAMF3, typeCommandAMF0, typeCommandAMF3:
			return m, nil
		}
		// Some servers say it by this alone.
		if c.playing && isStreamEOF(m) {
			return Message{}, io.EOF
		}
		reply, err := c.in.controlReply(m)
		if err == nil && reply != nil {
			err = c.send(reply)
		}
		if err != nil {
			return Message{}, err
		}
	}
}

// statusEnd returns the end that a command tells of: an error that concerns the stream, or the end
// of what is played.
func (c *Client) statusEnd(cmd command) error {
	if cmd.name != "onStatus" {
		return nil
	}
	status := statusOf(cmd)
	switch {
	case status.Level == levelError:
		return status
	case status.Code == "NetStream.Play.UnpublishNotify", status.Code == "NetStream.Play.Stop", status.Code == "NetStream.Play.Complete":
		return io.EOF
	}
	return nil
}

// informationIn returns the information object of an onStatus or _error.
func informationIn(cmd command) (info amf.Object) {
	for _, v := range append([]any{cmd.object}, cmd.args...) {
		if o := amf.Properties(v); len(o) > 0 {
			info = o
		}
	}
	return info
}

// statusOf reads the information object of an onStatus or _error.
func statusOf(cmd command) *StatusError {
	info := informationIn(cmd)
	return &StatusError{Level: info.String("level"), Code: info.String("code"), Description: info.String("description")}
}
