package e2e

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// The pictures of shrunk, and by how much of 255 two are apart that are the same, on average over
// all pixels.
const (
	shrunkWidth, shrunkHeight = 64, 36
	sameLuma                  = 1.5
)

// shrunk decodes the video of a file with FFmpeg: the brightness of all pictures, made small.
func shrunk(t testing.TB, what string, file []byte) (pictures [][]byte) {
	t.Helper()
	command := exec.Command("ffmpeg", "-v", "fatal", "-i", "-", "-map", "0:v", "-vf", "scale=64:36", "-pix_fmt", "gray", "-fps_mode", "passthrough", "-f", "rawvideo", "-")
	command.Stdin = bytes.NewReader(file)
	output, err := command.Output()
	if err != nil {
		t.Errorf("FFmpeg of %s: %v", what, err)
	}
	return slices.Collect(slices.Chunk(output, shrunkWidth*shrunkHeight))
}

// lumaBetween is how far two pictures are apart, on average.
func lumaBetween(a, b []byte) float64 {
	sum := 0
	for i := range min(len(a), len(b)) {
		sum += max(int(a[i])-int(b[i]), int(b[i])-int(a[i]))
	}
	return float64(sum) / float64(len(a))
}

// TestIntraRefresh publishes intra refresh without IDR pictures by FFmpeg. Who comes later, by
// whatever protocol, begins at a recovery point and has the right pictures a second after it. What
// is said of segments, parts and samples is true.
func TestIntraRefresh(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	early := watchRTMP(t, s, room)
	const seconds, interval = 26, 10
	call := "-v error -re -f lavfi -i " + picture + " -re -f lavfi -i " + sound + " -t 26 -c:v libx264 -preset veryfast -tune zerolatency -pix_fmt yuv420p" +
		" -x264-params intra-refresh=1:keyint=250:scenecut=0 -c:a aac -b:a 64k -f flv"
	encoder := launch(t, "ffmpeg", append(strings.Fields(call), s.publishURL(s.key(t, room)))...)
	s.waitOnAir(t, room)
	list, cmaf := watchHLS(t, s, room), watchLL(t, s.indexURL(room), nil)
	eventually(t, 30*time.Second, "a recovery point", func() bool {
		tags := early.tags()
		return len(tags) > 0 && tags[len(tags)-1].time > 1000*(interval+2)
	})
	late := map[string]*viewer{"HTTP-FLV": watchFLV(t, s, room), "RTMP": watchRTMP(t, s, room)}
	encoder.wait(t, time.Minute)

	whole := early.waitEnd(t, 20*time.Second)
	right := shrunk(t, "all", fileOf(whole))
	if n := len(right); n < 25*(seconds-1) {
		t.Fatalf("%d pictures of all", n)
	}
	// agree says that what a viewer has from a recovery point on is right a second later, up to the
	// end.
	agree := func(what string, file []byte) {
		got := shrunk(t, what, file)
		n := len(got) - 25
		if n < 25*(seconds-2*interval-2) {
			t.Errorf("%s: %d pictures", what, len(got))
			return
		}
		for i := 1; i <= n; i++ {
			if d := lumaBetween(got[len(got)-i], right[len(right)-i]); d > sameLuma {
				t.Errorf("%s: the picture %d before the end is %.1f apart", what, i, d)
				return
			}
		}
	}
	for name, v := range late {
		tags := v.waitEnd(t, 20*time.Second)
		first := slices.IndexFunc(tags, func(one tag) bool { return one.kind == typeVideo && !one.isHeader() })
		if first < 0 || tags[first].time < 1000*interval-500 || !tags[first].isKey() {
			t.Errorf("%s: begins with %v", name, tags[max(first, 0)])
		}
		agree(name, fileOf(tags))
	}

	segments := list.waitEnd(t, 20*time.Second)
	if _, text, _ := s.fetch(t, s.hlsURL(room)); strings.Contains(text, "#EXT-X-INDEPENDENT-SEGMENTS") {
		t.Errorf("MPEG-TS: segments are no independent ones\n%s", text)
	}
	if n := len(segments); n != 4 { // the first one is cut early, as somebody waits
		t.Fatalf("%d segments of MPEG-TS", n)
	}
	agree("MPEG-TS from the first recovery point on", slices.Concat(segments[2].data, segments[3].data))

	cmaf.waitEnd(t, 20*time.Second)
	cmaf.verify(t)
	video := cmaf.named(t, "v0")
	var init []byte
	var stream []byte
	keys := 0
	var sequences []int
	for sequence := range video.segments {
		sequences = append(sequences, sequence)
	}
	slices.Sort(sequences)
	for i, sequence := range sequences {
		media := video.segments[sequence]
		init = media.head
		if i > 0 {
			stream = append(stream, media.whole...)
		}
		track, err := readInit(media.head)
		if err != nil {
			t.Fatal(err)
		}
		samples, err := track.readFragments(media.whole)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range samples {
			if one.flags&nonSync == 0 {
				keys++
			}
		}
	}
	if keys != 1 {
		t.Errorf("CMAF: %d sync samples of one IDR picture", keys)
	}
	agree("CMAF from the second segment on", slices.Concat(init, stream))
	for _, url := range []string{s.indexURL(room), strings.TrimSuffix(s.indexURL(room), "index.m3u8") + "index-v0.m3u8"} {
		if _, text, _ := s.fetch(t, url); strings.Contains(text, "#EXT-X-INDEPENDENT-SEGMENTS") {
			t.Errorf("%s: segments are no independent ones\n%s", url, text)
		}
	}
	if !strings.Contains(s.log(), "recovery points and no IDR pictures") {
		t.Error("the log does not say what the encoder should change")
	}
}
