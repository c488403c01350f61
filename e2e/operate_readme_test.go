package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestReadmeCodecs holds the README's table of codecs and protocols against what the tests look at:
// TestKinds compares what comes out of each protocol with what was published, TestCMAFPairs plays
// in Chromium.
func TestReadmeCodecs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := codecTable(); !strings.Contains(string(text), want) {
		t.Errorf("the README's table of codecs is not that of the tests, which is:\n%s", want)
	}
}

// codecRow is a codec by its name, as a part of the names of clips or the FourCC that pictures are
// called by, and how MPEG-TS and CMAF name it.
type codecRow struct{ name, clip, ts, entry string }

func codecTable() string {
	rows := []codecRow{
		{"H.264", "h264", "H264", "avc1"}, {"HEVC", "hevc", "H265", "hvc1"}, {"AV1", "av1", "", "av01"}, {"VP9", "vp9", "", "vp09"},
		{"VP8", "vp08", "", ""}, {"VVC", "vvc1", "", ""},
		{"AAC", "aac", "MPEG4Audio", "mp4a"}, {"MP3", "mp3", "MPEG1Audio", "mp4a"}, {"Opus", "opus", "", "Opus"}, {"FLAC", "flac", "", "fLaC"},
		{"AC-3", "ac3", "AC3", "ac-3"}, {"E-AC-3", "eac3", "EAC3", "ec-3"},
	}
	var table strings.Builder
	table.WriteString("| | RTMP | HTTP-FLV | WebSocket-FLV | HLS (MPEG-TS) | HLS (CMAF) | CMAF in Chromium |\n|---|---|---|---|---|---|---|\n")
	for _, row := range rows {
		passed, ts, cmaf := row.carried()
		plays := slices.ContainsFunc(playedPairs(), func(clip string) bool { return row.in(clip) })
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s | %s | %s |\n", row.name, mark(passed), mark(passed), mark(passed), mark(ts), mark(cmaf), mark(plays))
	}
	return table.String()
}

func (row codecRow) in(clip string) bool { return slices.Contains(strings.Split(clip, "-"), row.clip) }

// carried says by which protocols TestKinds sends the codec.
func (row codecRow) carried() (passed, ts, cmaf bool) {
	for _, kind := range kinds() {
		name := kind.clip
		if kind.wrap != nil && kind.wrap.video != "" {
			name = strings.Replace(name, "h264", kind.wrap.video, 1)
		}
		if row.in(name) {
			passed, ts = true, ts || slices.Contains(kind.ts, row.ts)
			cmaf = cmaf || slices.Contains(kind.cmaf, row.entry)
		}
	}
	return passed, ts, cmaf
}

func mark(yes bool) string {
	if yes {
		return "yes"
	}
	return "–"
}
