package rtmp

import (
	"context"
	"errors"
	"net"
	"time"

	"livego/internal/amf"
)

// playback is a running Handler.Play, or what goes on after it.
type playback struct {
	request *PlayRequest
	cancel  context.CancelCauseFunc
	done    chan struct{} // closed when Play has returned
	// end, set before done is closed, ends a detached playback and returns why it is over.
	end func(cause error) error
	// yielded says after the end that it came as the client wished, and the connection may go on;
	// else outcome says why it came.
	yielded bool
	outcome error
}

func (c *serverConn) onPlay(ctx context.Context, cmd command) error {
	if len(cmd.args) > 0 && cmd.args[0] == false { // how Flash stops
		return c.closeStream(cmd.streamID, true)
	}
	return c.play(ctx, cmd.str(0), &PlayRequest{
		StreamID: cmd.streamID,
		Start:    cmd.number(1, -2),
		Duration: cmd.number(2, -1),
		Reset:    cmd.boolean(3, true),
	})
}

// onPlay2 treats play2 (§7.2.2.2) as play: switching between renditions in the middle of a GOP is
// no use to a live player.
func (c *serverConn) onPlay2(ctx context.Context, cmd command) error {
	if len(cmd.args) == 0 {
		return c.send(appendStatus(nil, cmd.streamID, levelError, CodePlayFailed, "play2 without parameters."))
	}
	options := amf.Properties(cmd.args[0])
	r := &PlayRequest{StreamID: cmd.streamID, Start: -2, Duration: -1, Reset: true}
	if start, ok := options.Get("start").(float64); ok {
		r.Start = start
	}
	if length, ok := options.Get("len").(float64); ok {
		r.Duration = length
	}
	return c.play(ctx, options.String("streamName"), r)
}

// play starts a playback, in place of the one that the message stream has.
func (c *serverConn) play(ctx context.Context, name string, r *PlayRequest) error {
	if len(c.publications) > 0 {
		return c.send(appendStatus(nil, r.StreamID, levelError, CodePlayFailed, "This connection publishes."))
	}
	if r.StreamID > maxMessageStreams {
		return c.send(appendStatus(nil, r.StreamID, levelError, CodePlayFailed, "No such message stream."))
	}
	if len(name) > maxText {
		return &refusal{streamID: r.StreamID, err: &StatusError{Code: CodePlayFailed, Description: errLongName}}
	}
	if old := c.playback; old != nil {
		if old.request.StreamID != r.StreamID {
			return c.send(appendStatus(nil, r.StreamID, levelError, CodePlayFailed, "This connection plays another stream."))
		}
		if err := c.stopPlayback(ErrReplaced); err != nil {
			return err
		}
	}
	r.ConnectRequest = c.connect
	r.Name, r.Query = splitQuery(name)
	c.in.allowStreams()
	c.in.expectLittle()
	c.setReadDeadline(time.Time{})
	ctx, cancel := context.WithCancelCause(ctx)
	c.playback = &playback{request: r, cancel: cancel, done: make(chan struct{})}
	go c.runPlayback(ctx, c.playback)
	return nil
}

// runPlayback is the goroutine of a playback until that is over or detached. joinPlayback waits for
// it.
func (c *serverConn) runPlayback(ctx context.Context, p *playback) {
	defer close(p.done)
	defer p.cancel(nil)
	err := c.handler.Play(ctx, p.request, &PlayStream{conn: c, playback: p})
	if p.end != nil {
		return
	}
	if c.settle(p, err, context.Cause(ctx)); !p.yielded {
		c.interrupt(p.outcome)
	}
}

// settle notes how a playback ended: err is its own word, cause why it was asked to end, if it was.
func (c *serverConn) settle(p *playback, err, cause error) {
	if p.yielded = yields(cause) && (err == nil || errors.Is(err, cause)); p.yielded {
		return
	}
	switch {
	case cause != nil && (err == nil || errors.Is(err, cause)):
		err = cause
	case err == nil:
		err = errPlaybackOver
	case !c.taken():
		err = asStatus(err, CodePlayFailed)
	}
	p.outcome = &refusal{streamID: p.request.StreamID, err: err}
}

// yields says whether a playback that ends for this cause leaves the connection to the client.
func yields(cause error) bool { return errors.Is(cause, ErrStopped) || errors.Is(cause, ErrReplaced) }

// joinPlayback ends the playback and waits for its end.
func (c *serverConn) joinPlayback(cause error) {
	p := c.playback
	p.cancel(cause)
	<-p.done
	if p.end != nil {
		c.settle(p, p.end(cause), cause)
		p.end = nil
	}
}

// stopPlayback ends the playback as the client wishes, and takes the output back.
func (c *serverConn) stopPlayback(cause error) error {
	p := c.playback
	c.joinPlayback(cause)
	if !p.yielded {
		return p.outcome
	}
	c.playback = nil
	c.writeMu.Lock()
	c.control, c.paused = nil, false
	c.writeMu.Unlock()
	c.extendRead()
	return nil
}

// endPlayback ends the playback with the connection, and reports whether it has taken the output
// over. If the client is gone, writes to it need not be waited for.
func (c *serverConn) endPlayback(cause error, gone bool) (taken bool) {
	if c.playback == nil {
		return false
	}
	if gone {
		c.writeMu.Lock()
		c.gone = true
		_ = c.nc.SetWriteDeadline(time.Unix(1, 0))
		c.writeMu.Unlock()
	}
	c.joinPlayback(cause)
	return c.taken()
}

// taken reports whether the playback has taken the output over.
func (c *serverConn) taken() bool {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	return c.control != nil
}

// handOver gives the output to ctl and returns the answer to play.
func (c *serverConn) handOver(ctl Control, r *PlayRequest) ([]byte, net.Conn) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	if !c.gone {
		_ = c.nc.SetWriteDeadline(time.Time{})
	}
	if c.paused {
		ctl.Pause(true)
	}
	c.control = ctl
	return appendPlaying(nil, r), c.nc
}

// appendPlaying appends what Flash Media Server answers to play (§7.2.2.1): players of its time
// wait for one or the other of these.
func appendPlaying(dst []byte, r *PlayRequest) []byte {
	id := r.StreamID
	dst = appendUserControl(dst, eventStreamBegin, id)
	if r.Reset {
		dst = appendStatus(dst, id, levelStatus, "NetStream.Play.Reset", "Playing and resetting.")
	}
	start := information(levelStatus, "NetStream.Play.Start", "Playing.")
	if len(r.Path) > 0 {
		start = append(start, amf.Property{Name: pathProperty, Value: joinPath(r.Passed)})
	}
	dst = appendCommand(dst, Format{StreamID: id}, "onStatus", 0.0, nil, start)
	// Flash Media Server sends this as a data message, and one about sample access: FFmpeg takes
	// either for a track of unknown data.
	dst = appendStatus(dst, id, levelStatus, "NetStream.Data.Start", "Data follows.")
	return appendStatus(dst, id, levelStatus, "NetStream.Play.PublishNotify", "The stream is on air.")
}

// onPause tells the playback, and the client in the way that librtmp waits for.
func (c *serverConn) onPause(cmd command) error {
	p := c.playback
	if p == nil || p.request.StreamID != cmd.streamID {
		return nil
	}
	paused := cmd.boolean(0, false)
	c.writeMu.Lock()
	c.paused = paused
	ctl := c.control
	c.writeMu.Unlock()
	if ctl != nil {
		ctl.Pause(paused)
	}
	if paused {
		b := appendStatus(nil, cmd.streamID, levelStatus, "NetStream.Pause.Notify", "Paused.")
		return c.send(appendUserControl(b, eventStreamEOF, cmd.streamID))
	}
	b := appendStatus(nil, cmd.streamID, levelStatus, "NetStream.Unpause.Notify", "Resumed.")
	return c.send(appendUserControl(b, eventStreamBegin, cmd.streamID))
}

// onSeek says that a live stream cannot be sought in. It is no error: FFmpeg would end the
// playback.
func (c *serverConn) onSeek(cmd command) error {
	return c.send(appendStatus(nil, cmd.streamID, levelWarning, "NetStream.Seek.Failed", "A live stream has no other position."))
}
