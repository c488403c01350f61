package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"livego/internal/flv"
	"livego/internal/media"
)

const (
	// maxFileBytes bounds what of a file is held in memory.
	maxFileBytes = 1 << 30
	// flvMagic begins a file (FLV E.2).
	flvMagic = "FLV"
	// nalAUD is the access unit delimiter, which stays in front of the stamp (H.264 §7.4.1.2.3).
	nalAUD = 9
	// hevcSEI and hevcAUD begin the same NAL units in HEVC (H.265 §7.3.1.2, Table 7-1): types 39
	// and 35.
	hevcSEI = 39 << 1
	hevcAUD = 35 << 1
)

// openClip reads a file as a clip; ffmpeg makes FLV of whatever is not.
func openClip(ctx context.Context, name string) (*clip, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	if magic, err := in.Peek(len(flvMagic)); err != nil || string(magic) == flvMagic {
		return readClip(in)
	}
	return convertClip(ctx, name)
}

// convertClip has ffmpeg repackage the first video and the first audio track of a file.
func convertClip(ctx context.Context, name string) (*clip, error) {
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		return nil, fmt.Errorf("not an FLV file, and ffmpeg, which could make one of it, is not to be had: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends ffmpeg where the clip is refused
	// "file:" keeps a name with a colon in it from being taken for a URL.
	ffmpeg := exec.CommandContext(ctx, path, "-nostdin", "-v", "error", "-i", "file:"+name, "-map", "0:v:0?", "-map", "0:a:0?", "-c", "copy",
		"-flvflags", "no_duration_filesize", "-f", "flv", "pipe:1")
	var said bytes.Buffer
	ffmpeg.Stderr = &said
	out, err := ffmpeg.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := ffmpeg.Start(); err != nil {
		return nil, err
	}
	c, readErr := readClip(bufio.NewReader(out))
	if readErr != nil {
		cancel()
	}
	if err := ffmpeg.Wait(); err != nil && said.Len() > 0 {
		return nil, fmt.Errorf("ffmpeg: %w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return c, readErr
}

// readClip reads an FLV file as a clip. Pictures of H.264 and HEVC get a stamp.
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

// add sorts a tag into headers and media. Headers that change on the way are not supported: only
// the first ones count.
func (c *clip) add(tag flv.Tag, u *media.AccessUnit) {
	m := message{at: time.Duration(tag.TimestampMS) * time.Millisecond, kind: tag.Type, body: tag.Body}
	switch {
	case u.Header == media.Sample && u.Track.Kind != media.Data:
		if u.Track.NALLengthSize == 4 {
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
	var header, delimiter []byte
	switch u.Track.Codec {
	case media.H264:
		header, delimiter = []byte{nalSEI}, []byte{0, 0, 0, 2, nalAUD}
	case media.HEVC:
		header, delimiter = []byte{hevcSEI, 1}, []byte{0, 0, 0, 3, hevcAUD, 1}
	default:
		return m
	}
	at := len(m.body) - len(u.Data)
	if bytes.HasPrefix(u.Data, delimiter) && len(u.Data) > len(delimiter) {
		at += len(delimiter) + 1
	}
	body, digits := appendStamp(slices.Clone(m.body[:at]), header)
	m.body, m.stamp = append(body, m.body[at:]...), digits
	return m
}

// close sets the length of a round: as if one more message followed the last one at the mean
// distance of its kind.
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
