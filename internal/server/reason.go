package server

import (
	"context"
	"errors"
	"io"
	"net"
	"os"

	"livego/internal/fanout"
	"livego/internal/live"
	"livego/internal/rtmp"
)

// reasons maps why a session ended to one word of a fixed set, for metrics and events. The first
// that fits counts.
var reasons = []struct {
	err  error
	word string
}{
	{errShutdown, "shutdown"},
	{live.ErrClosed, "shutdown"},
	{errRevoked, "key_revoked"},
	{live.ErrTakenOver, "taken_over"},
	{live.ErrMisaligned, "misaligned"},
	{errKicked, "kicked"},
	{errEnded, "kicked"},
	{errOverLimit, "over_limit"},
	{errWatched, "token_expired"},
	{errTokenRevoked, "token_revoked"},
	{live.ErrUnpublished, "unpublished"},
	{rtmp.ErrUnpublished, "unpublished"},
	{fanout.ErrStreamEnded, "stream_ended"},
	{fanout.ErrStalled, "stalled"},
	{fanout.ErrControlFull, "bad_request"},
	{fanout.ErrTracksChanged, "tracks_changed"},
	{fanout.ErrCodecChanged, "tracks_changed"},
	{fanout.ErrTimeLimit, "time_limit"},
	{rtmp.ErrStopped, "stopped"},
	{rtmp.ErrReplaced, "stopped"},
	{rtmp.ErrTimeout, "timeout"},
	{os.ErrDeadlineExceeded, "timeout"},
	{context.DeadlineExceeded, "timeout"},
	{rtmp.ErrProtocol, "bad_request"},
	{rtmp.ErrLimit, "bad_request"},
	{errChatter, "bad_request"},
	{errWebSocket, "bad_request"},
	{fanout.ErrGone, "connection_lost"},
	{live.ErrLost, "connection_lost"},
	{io.EOF, "connection_lost"},
	{net.ErrClosed, "connection_lost"},
}

// reasonOf returns the word for why a session ended: "other" if nothing fits, "connection_lost"
// without a cause.
func reasonOf(err error) string {
	if err == nil {
		return "connection_lost"
	}
	if misaligned(err) {
		return "misaligned"
	}
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.word
		}
	}
	var lost *net.OpError
	if errors.As(err, &lost) {
		return "connection_lost"
	}
	return "other"
}
