package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
)

// playlist is a media playlist as the tests read it (RFC 8216 §4.3).
type playlist struct {
	target                          int
	sequence, discontinuitySequence int
	segments                        []segment
	ended                           bool
}

type segment struct {
	sequence      int
	discontinuity bool
	duration      float64 // seconds
	address       string
	data          []byte
}

func parsePlaylist(address, text string) (list playlist, err error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if lines[0] != "#EXTM3U" {
		return list, fmt.Errorf("no #EXTM3U: %q", text)
	}
	base, err := url.Parse(address)
	if err != nil {
		return list, err
	}
	var next segment
	for _, line := range lines {
		tag, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch {
		case tag == "#EXT-X-TARGETDURATION":
			list.target, err = strconv.Atoi(value)
		case tag == "#EXT-X-MEDIA-SEQUENCE":
			list.sequence, err = strconv.Atoi(value)
		case tag == "#EXT-X-DISCONTINUITY-SEQUENCE":
			list.discontinuitySequence, err = strconv.Atoi(value)
		case tag == "#EXT-X-ENDLIST":
			list.ended = true
		case tag == "#EXT-X-DISCONTINUITY":
			next.discontinuity = true
		case tag == "#EXTINF":
			seconds, _, _ := strings.Cut(value, ",")
			next.duration, err = strconv.ParseFloat(seconds, 64)
		case line != "" && !strings.HasPrefix(line, "#"):
			reference, parseErr := url.Parse(strings.TrimSpace(line))
			if parseErr != nil {
				return list, parseErr
			}
			next.address = base.ResolveReference(reference).String()
			next.sequence = list.sequence + len(list.segments)
			list.segments = append(list.segments, next)
			next = segment{}
		}
		if err != nil {
			return list, fmt.Errorf("%q: %w", line, err)
		}
	}
	return list, nil
}

// hlsViewer reloads a playlist as a player does, fetches each segment once, and notes what breaks
// the rules.
type hlsViewer struct {
	address  string
	mutex    sync.Mutex
	segments []segment
	last     playlist
	loads    int
	problems []string
	stop     chan struct{}
	ended    chan struct{} // closed after ENDLIST, or when the viewer left
	done     bool
}

func watchHLS(t testing.TB, s *server, stream string) *hlsViewer {
	t.Helper()
	v := &hlsViewer{address: s.hlsURL(stream), stop: make(chan struct{}), ended: make(chan struct{})}
	go v.run()
	t.Cleanup(v.leave)
	return v
}

func (v *hlsViewer) leave() {
	v.mutex.Lock()
	if !v.done {
		v.done = true
		close(v.stop)
	}
	v.mutex.Unlock()
	<-v.ended
}

func (v *hlsViewer) run() {
	defer close(v.ended)
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	for {
		if v.reload() {
			return
		}
		select {
		case <-tick.C:
		case <-v.stop:
			return
		}
	}
}

// get returns status and body; a status of 0 means no answer.
func get(address string) (int, []byte, http.Header) {
	client := http.Client{Timeout: 15 * time.Second}
	answer, err := client.Get(address)
	if err != nil {
		return 0, []byte(err.Error()), nil
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, []byte(err.Error()), nil
	}
	return answer.StatusCode, body, answer.Header
}

// reload loads the playlist once and returns whether it has ended.
func (v *hlsViewer) reload() bool {
	status, body, _ := get(v.address)
	if status == http.StatusNotFound && v.count() == 0 {
		return false // not on air yet
	}
	if status != http.StatusOK {
		v.problem("playlist: %d %s", status, body)
		return status == http.StatusNotFound || status == 0
	}
	list, err := parsePlaylist(v.address, string(body))
	if err != nil {
		v.problem("playlist: %v", err)
		return true
	}
	v.check(list)
	for _, next := range list.segments {
		if next.sequence < v.nextSequence() {
			continue
		}
		status, data, _ := get(next.address)
		if status != http.StatusOK {
			v.problem("segment %s: %d", next.address, status)
		}
		next.data = data
		v.mutex.Lock()
		v.segments = append(v.segments, next)
		v.mutex.Unlock()
	}
	v.mutex.Lock()
	defer v.mutex.Unlock()
	v.last = list
	v.loads++
	return list.ended
}

// check holds a new playlist against the one before (RFC 8216 §6.2.1, §6.2.2).
func (v *hlsViewer) check(list playlist) {
	v.mutex.Lock()
	last, loads, seen := v.last, v.loads, v.segments
	v.mutex.Unlock()
	if len(list.segments) == 0 {
		v.problem("a playlist without segments")
	}
	if loads > 0 && list.sequence < last.sequence {
		v.problem("MEDIA-SEQUENCE goes back from %d to %d", last.sequence, list.sequence)
	}
	if loads > 0 && list.discontinuitySequence < last.discontinuitySequence {
		v.problem("DISCONTINUITY-SEQUENCE goes back from %d to %d", last.discontinuitySequence, list.discontinuitySequence)
	}
	if loads > 0 && list.target != last.target {
		v.problem("TARGETDURATION changes from %d to %d", last.target, list.target)
	}
	if len(seen) > 0 && list.sequence > seen[len(seen)-1].sequence+1 {
		v.problem("segments before %d were never listed", list.sequence)
	}
	for _, next := range list.segments {
		if int(math.Round(next.duration)) > list.target {
			v.problem("EXTINF %.3f with TARGETDURATION %d", next.duration, list.target)
		}
		for _, before := range seen {
			if before.sequence == next.sequence && (before.address != next.address || before.duration != next.duration) {
				v.problem("segment %d changes from %s to %s", next.sequence, before.address, next.address)
			}
			if before.address == next.address && before.sequence != next.sequence {
				v.problem("name %s is used twice", next.address)
			}
		}
	}
}

func (v *hlsViewer) problem(format string, arguments ...any) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if text := fmt.Sprintf(format, arguments...); !slices.Contains(v.problems, text) && len(v.problems) < 10 {
		v.problems = append(v.problems, text)
	}
}

func (v *hlsViewer) nextSequence() int {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if len(v.segments) == 0 {
		return 0
	}
	return v.segments[len(v.segments)-1].sequence + 1
}

func (v *hlsViewer) count() int {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	return len(v.segments)
}

func (v *hlsViewer) all() []segment {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	return slices.Clone(v.segments)
}

// waitSegments waits until n segments more than now were fetched.
func (v *hlsViewer) waitSegments(t testing.TB, n int) {
	t.Helper()
	want := v.count() + n
	eventually(t, 20*time.Second, fmt.Sprintf("HLS gets %d segments more", n), func() bool { return v.count() >= want })
}

// waitEnd waits for ENDLIST and returns all segments.
func (v *hlsViewer) waitEnd(t testing.TB, limit time.Duration) []segment {
	t.Helper()
	select {
	case <-v.ended:
	case <-time.After(slack * limit):
		t.Fatal("HLS: no ENDLIST")
	}
	v.mutex.Lock()
	ended := v.last.ended
	v.mutex.Unlock()
	if !ended {
		t.Error("HLS: ended without ENDLIST")
	}
	v.verify(t)
	return v.all()
}

// verify reports what broke the rules so far.
func (v *hlsViewer) verify(t testing.TB) {
	t.Helper()
	v.mutex.Lock()
	defer v.mutex.Unlock()
	for _, problem := range v.problems {
		t.Errorf("HLS: %s", problem)
	}
}

// unitsOfTS reads segments one by one, as each must stand for itself, and returns all units and the
// codecs met.
func unitsOfTS(t testing.TB, segments []segment) (units []unit, kinds []string) {
	t.Helper()
	for _, s := range segments {
		part, names, err := readTS(s.data)
		if err != nil {
			t.Errorf("segment %d: %v", s.sequence, err)
		}
		units = append(units, part...)
		for _, name := range names {
			if !slices.Contains(kinds, name) {
				kinds = append(kinds, name)
			}
		}
	}
	return units, kinds
}

const ticksPerMillisecond = 90

func readTS(data []byte) (units []unit, kinds []string, err error) {
	reader := &mpegts.Reader{R: bytes.NewReader(data)}
	if err := reader.Initialize(); err != nil {
		return nil, nil, err
	}
	reader.OnDecodeError(func(problem error) { err = errors.Join(err, problem) })
	add := func(kind byte, pts, dts int64, key bool, hash string) {
		units = append(units, unit{kind, toMilliseconds(dts), toMilliseconds(pts), key, hash})
	}
	for _, track := range reader.Tracks() {
		kinds = append(kinds, strings.TrimPrefix(fmt.Sprintf("%T", track.Codec), "*codecs."))
		switch codec := track.Codec.(type) {
		case *codecs.H264:
			reader.OnDataH264(track, func(pts, dts int64, nals [][]byte) error {
				key := slices.ContainsFunc(nals, func(nal []byte) bool { return nal[0]&31 == 5 })
				add(typeVideo, pts, dts, key, hashNALs(nals, h264NAL))
				return nil
			})
		case *codecs.H265:
			reader.OnDataH265(track, func(pts, dts int64, nals [][]byte) error {
				key := slices.ContainsFunc(nals, func(nal []byte) bool { return nal[0]>>1&63 >= 16 && nal[0]>>1&63 <= 21 })
				add(typeVideo, pts, dts, key, hashNALs(nals, hevcNAL))
				return nil
			})
		case *codecs.MPEG4Audio:
			reader.OnDataMPEG4Audio(track, func(pts int64, frames [][]byte) error {
				for i, frame := range frames {
					at := pts + int64(i*1024*90000/codec.SampleRate)
					add(typeAudio, at, at, false, hashOf(frame))
				}
				return nil
			})
		case *codecs.MPEG1Audio:
			reader.OnDataMPEG1Audio(track, func(pts int64, frames [][]byte) error {
				for _, frame := range frames {
					add(typeAudio, pts, pts, false, hashOf(frame))
					var header mpeg1audio.FrameHeader
					if header.Unmarshal(frame) == nil {
						pts += int64(header.SampleCount() * 90000 / header.SampleRate)
					}
				}
				return nil
			})
		case *codecs.AC3:
			reader.OnDataAC3(track, func(pts int64, frame []byte) error {
				add(typeAudio, pts, pts, false, hashOf(frame))
				return nil
			})
		case *codecs.EAC3:
			reader.OnDataEAC3(track, func(pts int64, frame []byte) error {
				add(typeAudio, pts, pts, false, hashOf(frame))
				return nil
			})
		}
	}
	for {
		if readErr := reader.Read(); readErr != nil {
			if !errors.Is(readErr, io.EOF) {
				err = errors.Join(err, readErr)
			}
			return units, kinds, err
		}
	}
}

func toMilliseconds(ticks int64) int64 {
	return int64(math.Round(float64(ticks) / ticksPerMillisecond))
}

// decodeTS decodes a segment with FFmpeg and returns its complaints.
func decodeTS(t testing.TB, data []byte) string {
	t.Helper()
	command := exec.Command("ffmpeg", "-v", "error", "-i", "-", "-f", "null", "-")
	command.Stdin = bytes.NewReader(data)
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v: %s", err, output)
	}
	return string(output)
}
