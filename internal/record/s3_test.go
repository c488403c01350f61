package record

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"livego/internal/bucket"
	"livego/internal/media"
)

// TestS3 records into a bucket that refuses every fifth file or cuts its connection, and loses
// nothing by that; then it plays from there, and deletes.
func TestS3(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	backend := s3mem.New()
	if err := backend.CreateBucket("recordings"); err != nil {
		t.Fatal(err)
	}
	fake := gofakes3.New(backend).Server()
	var puts atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			switch n := puts.Add(1); {
			case n%10 == 0:
				panic(http.ErrAbortHandler)
			case n%5 == 0:
				http.Error(w, "slow down", http.StatusServiceUnavailable)
				return
			}
		}
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	b := newBench(t, func(o *Options) {
		o.open, o.Join = bucket.Open, 0
		o.To = "s3://recordings/livego?endpoint=" + srv.URL + "&region=us-east-1&path_style=true"
	})
	defer b.stop(t)
	s := b.source("live/movie", 100)
	for range 8 {
		s.sink.Segment(s.segment("v0", media.Video))
		s.sink.Segment(s.segment("a0", media.Audio))
		s.next()
	}
	s.sink.End()
	eventually(t, "the recording is complete", func() bool {
		all := b.List("")
		return len(all) == 1 && all[0].State == Complete
	})
	rec := b.List("")[0]
	if rec.Lost != 0 || rec.Bytes == 0 || b.Stats().Failed == 0 || b.Stats().Spooled != 0 {
		t.Errorf("%+v %+v", rec, b.Stats())
	}
	base := Path + "live/movie/" + rec.ID + "/"
	for _, id := range []string{"v0", "a0"} {
		if got := listed(b.ask("GET", base+id+".m3u8").Body.String()); got != "i100 101 102 103 104 105 106 107 end" {
			t.Errorf("%s: %s", id, got)
		}
		for seq := range 8 {
			if got := b.ask("GET", fmt.Sprintf("%s%s/%d.m4s", base, id, 100+seq)).Body.String(); got != fmt.Sprintf("%s %d", id, 100+seq) {
				t.Errorf("segment %d of %s: %q", seq, id, got)
			}
		}
	}
	if w := b.ask("GET", base+"v0/100.m4s", "Range: bytes=1-2"); w.Code != 206 || w.Body.String() != "0 " {
		t.Errorf("a range: %d %q", w.Code, w.Body)
	}
	if err := b.Delete(rec.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all of it is gone", func() bool {
		list, err := backend.ListBucket("recordings", nil, gofakes3.ListBucketPage{})
		left, _ := filepath.Glob(filepath.Join(b.opt.Dir, "*"))
		return err == nil && len(list.Contents) == 0 && len(left) == 0
	})
	if strings.Contains(b.log.String(), "secret") {
		t.Error("the log has the secret")
	}
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline, tick := time.NewTimer(time.Minute), time.NewTicker(20*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("not within a minute: " + what)
		}
	}
}
