//go:build unix

package server

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "livego/internal/api/v1"
	"livego/internal/live"
)

// TestCommandsBesideStreams: a command runs while its stream does. It may watch the stream and
// publish its renditions, whoever else may, and nothing else.
func TestCommandsBesideStreams(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "urls")
	s := start(t, withTokens, func(o *Options) {
		o.Apps[0].RunOnStream = [][]string{{"sh", "-c", `echo "$0 $1 $2" >"$3.part"; mv "$3.part" "$3"; exec sleep 1000`, "{rtmp_url}", "{flv_url}", "{publish_url}", file}}
		o.Apps[0].Viewers = Networks{Deny: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	})
	tags := clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:20]...)
	var urls []string
	eventually(t, "the command runs", func() bool {
		text, err := os.ReadFile(file)
		urls = strings.Fields(string(text))
		return err == nil && len(urls) == 3
	})
	players := []*watcher{watchRTMPAt(t, urls[0]), watchFLVAt(t, urls[1])}
	awaitAll(t, players, tags[19])
	streams, sessions := items[v1.Stream](t, s, "/streams"), items[v1.Session](t, s, "/sessions?role=viewer")
	if len(streams) != 1 || streams[0].Viewers.Total != 0 || len(sessions) != 2 {
		t.Errorf("commands are counted as viewers: %+v, %+v", streams, sessions)
	}
	wantEqual(t, "another stream", call(t, "HEAD", strings.Replace(urls[1], "movie", "other", 1)).status, 403)
	if _, err := tryPublish(t, urls[2]); err == nil || !strings.Contains(err.Error(), "renditions only") {
		t.Errorf("publishing without a rendition: %v", err)
	}
	low := publishTo(t, urls[2]+"?rendition=low")
	low.send(tags[:20]...)
	awaitPublishers(t, s, "movie", 2)
	if strings.Contains(s.logs.String(), urls[2][len(urls[2])-40:]) {
		t.Error("the log has the key")
	}
	low.unpublish()
	e.unpublish()
	eventually(t, "the key is worth nothing", func() bool {
		_, err := tryPublish(t, urls[2]+"?rendition=low")
		return err != nil
	})
}

// TestNamesAreNoOptions: what strangers may call a stream does not become an option of a command.
func TestNamesAreNoOptions(t *testing.T) {
	s := start(t)
	got := s.filled([]string{"-x", "{stream}", "-{stream}", "{app}/{stream}.jpg"}, live.Name{App: "live", Stream: "-rf"}, "KEY")
	wantEqual(t, "arguments", strings.Join(got, " "), "-x ./-rf --rf live/-rf.jpg")
}
