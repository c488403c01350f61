// Package demo is a built-in encoder: it publishes a short clip in a loop, so that there is
// something to watch without one.
package demo

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"livego/internal/flv"
	"livego/internal/pause"
	"livego/internal/rtmp"
)

// clip is H.264 and AAC in FLV, made by scripts/make-demo-clip.sh so that its end meets its start.
//
//go:embed clip.flv
var clip []byte

const (
	// clipLength is what a round adds to all times: 240 pictures at 30 per second, 375 AAC frames
	// of 1,024 samples at 48 kHz.
	clipLength = 8 * time.Second
	// retryDelay is the time between attempts to connect.
	retryDelay = time.Second
)

// Options configures Run. URL is required.
type Options struct {
	// URL is where to publish: rtmp://host:port/app/channelkey. It is not logged, as it holds the
	// key.
	URL string
	// OnAir, if not nil, is called whenever the server has agreed to take the stream.
	OnAir func()
	// Log, if nil, is slog.Default.
	Log *slog.Logger
}

// Run publishes the clip in real time with rising timestamps until ctx ends, connecting again
// whenever the connection is lost. It returns the cause of ctx, or the server's refusal (an
// *rtmp.StatusError), which another attempt would not change.
func Run(ctx context.Context, o Options) error {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.OnAir == nil {
		o.OnAir = func() {}
	}
	tags, err := readClip()
	if err != nil {
		return err
	}
	for {
		err := o.publish(ctx, tags)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var refusal *rtmp.StatusError
		if errors.As(err, &refusal) {
			return fmt.Errorf("publishing the demo clip: %w", err)
		}
		o.Log.Warn("demo publisher lost its connection", "err", err, "retry_in", retryDelay)
		if err := pause.For(ctx, retryDelay); err != nil {
			return err
		}
	}
}

// readClip takes the clip apart.
func readClip() ([]flv.Tag, error) {
	var tags []flv.Tag
	reader := flv.NewReader(bytes.NewReader(clip))
	for {
		tag, err := reader.ReadTag()
		if errors.Is(err, io.EOF) {
			return tags, nil
		}
		if err != nil {
			return nil, fmt.Errorf("demo clip: %w", err)
		}
		tags = append(tags, tag)
	}
}

// publish is one connection's life.
func (o Options) publish(ctx context.Context, tags []flv.Tag) error {
	client, err := rtmp.Dial(ctx, o.URL, rtmp.ClientOptions{})
	if err != nil {
		return err
	}
	if err := client.Publish(ctx, ""); err != nil {
		client.Close()
		return err
	}
	o.OnAir()
	ctx, lost := context.WithCancelCause(ctx)
	reading := make(chan struct{})
	go func() { // pings are answered and the end of the connection is seen
		defer close(reading)
		_, err := client.Read()
		lost(err)
	}()
	err = send(ctx, client, tags)
	_ = client.Unpublish() // where the connection is there no more, nobody needs to be told
	client.Close()
	<-reading
	return err
}

// send writes round after round, each tag when it is due.
func send(ctx context.Context, client *rtmp.Client, tags []flv.Tag) error {
	start := time.Now()
	for round := time.Duration(0); ; round++ {
		for _, tag := range tags {
			if round > 0 && isHeader(tag) {
				continue
			}
			at := round*clipLength + time.Duration(tag.TimestampMS)*time.Millisecond
			if err := pause.For(ctx, time.Until(start.Add(at))); err != nil {
				return err
			}
			message := rtmp.Message{Type: tag.Type, TimestampMS: uint32(at.Milliseconds()), Body: tag.Body}
			if err := client.Write(message); err != nil {
				return err
			}
			if err := client.Flush(); err != nil {
				return err
			}
		}
	}
}

// isHeader reports whether a tag of the clip is metadata or a sequence header (FLV E.4.2.1,
// E.4.3.1), which stay in force.
func isHeader(tag flv.Tag) bool {
	switch tag.Type {
	case rtmp.TypeAudio, rtmp.TypeVideo:
		return len(tag.Body) > 1 && tag.Body[1] == 0
	}
	return true
}
