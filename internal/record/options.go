package record

import (
	"errors"
	"log/slog"
	"time"

	"livego/internal/bucket"
	"livego/internal/event"
)

// Mode says which streams of an app are recorded.
type Mode string

// The modes: none, all, those that the API starts.
const (
	Off   Mode = "off"
	All   Mode = "all"
	ByAPI Mode = "api"
)

// The reasons for which a recording is not begun or not found.
var (
	// ErrOff says that streams of the app are not recorded.
	ErrOff = errors.New("streams of this app are not recorded (record)")
	// ErrNotFound says that there is no such recording.
	ErrNotFound = errors.New("no such recording")
	// ErrUnderWay says that a recording cannot be deleted before it is complete.
	ErrUnderWay = errors.New("the recording is not complete")
	// ErrOffAir says that there is nothing to record.
	ErrOffAir = errors.New("the stream is not packaged as HLS with CMAF segments now")
)

// Options configures a Recorder. The zero value of a field means the default in parentheses.
type Options struct {
	// Dir is the Recorder's own folder: what waits for the bucket, and what recordings there are.
	// One Recorder at a time may use it.
	Dir string
	// To is where recordings go, as bucket.Open has it, and Name how they are called there.
	To   string
	Name Template
	// Mode says which streams of an app are recorded (none).
	Mode func(app string) Mode
	// Join is for how long a publisher may be gone that goes on in the same recording; 0: not at
	// all.
	Join time.Duration
	// Keep is the age at which recordings are deleted, from their end on; 0: never.
	Keep time.Duration
	// MaxSpoolBytes (10 GiB) bounds what waits for the bucket on the local disk.
	MaxSpoolBytes int64
	// List lets everybody who may watch a stream list its recordings.
	List bool
	// Events are told of recordings that begin and end. Nil: nobody is.
	Events *event.Bus
	// Log gets a line when a recording begins and ends, and when trouble does. Nil: nothing is
	// logged.
	Log *slog.Logger

	// open opens a bucket (bucket.Open), disk writes files to the local disk.
	open func(location string) (bucket.Bucket, error)
	disk func(path string, pieces ...[]byte) error
}

func (o Options) withDefaults() Options {
	if o.Mode == nil {
		o.Mode = func(string) Mode { return Off }
	}
	if o.MaxSpoolBytes <= 0 {
		o.MaxSpoolBytes = 10 << 30
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.open == nil {
		o.open = bucket.Open
	}
	if o.disk == nil {
		o.disk = writeFile
	}
	return o
}
