package cluster

import (
	"bytes"
	"testing"
	"time"

	"livego/internal/flv"
)

// TestFormat: a message says when it arrived, to the millisecond, whatever the hour, and is an FLV
// tag as before otherwise.
func TestFormat(t *testing.T) {
	begin := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	for at := begin; at.Before(begin.Add(24 * time.Hour)); at = at.Add(7*time.Minute + 1234*time.Microsecond) {
		for after, want := range map[time.Duration]time.Duration{0: 0, time.Second: 0, 2 * time.Hour: 0, -time.Second: -time.Second} {
			wire := flv.AppendFileHeader(nil, true, true)
			wire = Format{}.AppendArrived(wire, flv.TypeVideo, 1<<25, at.UnixNano(), []byte("body"))
			tag, err := flv.NewReader(bytes.NewReader(wire)).ReadTag()
			if err != nil || tag.Type != flv.TypeVideo || tag.TimestampMS != 1<<25 || string(tag.Body) != "body" {
				t.Fatalf("%+v, %v", tag, err)
			}
			if got, want := arrivedAt(tag.StreamID, at.Add(after)), at.Add(want); got.Sub(want).Abs() > time.Millisecond {
				t.Fatalf("arrived at %v, want %v", got, want)
			}
		}
	}
	plain := Format{}.AppendArrived(nil, flv.TypeVideo, 0, 0, nil)
	if !bytes.Equal(plain, flv.AppendTag(nil, flv.TypeVideo, 0, nil)) || !arrivedAt(0, begin).Equal(begin) {
		t.Errorf("without a time: %x", plain)
	}
}
