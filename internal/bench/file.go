package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"livego/internal/flv"
	"livego/internal/media"
)

const (
	// maxFileBytes bounds what of a file is held in memory.
	maxFileBytes = 1 << 30
	// nalAUD is the access unit delimiter, which stays in front of the stamp (H.264 §7.4.1.2.3).
	nalAUD = 9
)

// readClip reads an FLV file as a clip. Pictures of H.264 get a stamp.
func readClip(r io.Reader) (*clip, error) {
	c := &clip{}
	var d flv.Demuxer
	var units []media.AccessUnit
	reader := flv.NewReader(r)
	for total := 0; ; {
		tag, err := reader.ReadTag()
		if errors.Is(err, io.EOF) {
			return c, c.close()
		}
		if err != nil {
			return nil, err
		}
		if total += len(tag.Body); total > maxFileBytes {
			return nil, fmt.Errorf("the clip has more than %d bytes", maxFileBytes)
		}
		if units, err = d.Append(units[:0], tag.Type, tag.TimestampMS, tag.Body); err == nil && len(units) > 0 {
			c.add(tag, &units[0])
		}
	}
}

// add sorts a tag into headers and media. Headers that change on the way are not supported: only the first ones count.
func (c *clip) add(tag flv.Tag, u *media.AccessUnit) {
	m := message{at: time.Duration(tag.TimestampMS) * time.Millisecond, kind: tag.Type, body: tag.Body}
	switch {
	case u.Header == media.Sample && u.Track.Kind != media.Data:
		if u.Track.Codec == media.H264 && u.Track.NALLengthSize == 4 {
			m = stampedPicture(m, u)
		}
		c.media = append(c.media, m)
	case u.Header == media.SequenceHeader, u.Header == media.Metadata:
		if len(c.media) == 0 {
			m.at = 0
			c.headers = append(c.headers, m)
		}
	}
}

// stampedPicture inserts a stamp, behind the access unit delimiter if there is one.
func stampedPicture(m message, u *media.AccessUnit) message {
	at := len(m.body) - len(u.Data)
	if len(u.Data) > 5 && u.Data[4]&0x1F == nalAUD && bytes.HasPrefix(u.Data, []byte{0, 0, 0, 2}) {
		at += 4 + 2
	}
	body, digits := appendStamp(slices.Clone(m.body[:at]))
	m.body, m.stamp = append(body, m.body[at:]...), digits
	return m
}

// close sets the length of a round: as if one more message followed the last one at the mean distance of its kind.
func (c *clip) close() error {
	if len(c.media) < 2 {
		return errors.New("the clip has no media")
	}
	first, last := c.media[0].at, c.media[len(c.media)-1].at
	for i := range c.media {
		c.media[i].at = max(c.media[i].at-first, 0)
	}
	kind, n := c.media[0].kind, 0
	for _, m := range c.media {
		if m.kind == kind {
			n++
		}
	}
	c.length = last - first
	if n > 1 {
		c.length += c.length / time.Duration(n-1)
	}
	if c.length <= 0 {
		return errors.New("the clip has no length")
	}
	return nil
}
