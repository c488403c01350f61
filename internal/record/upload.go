package record

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"livego/internal/bucket"
)

const (
	// minRetry and maxRetry bound the wait before what failed is tried again. It doubles with each
	// failure, and is spread, so that not all of them come at once.
	minRetry, maxRetry = time.Second, 30 * time.Second

	cacheForever = "public, max-age=31536000, immutable"
	cacheNever   = "no-cache"
)

// errDamaged says that a file is not what was written.
var errDamaged = errors.New("the file on the local disk is damaged")

// metaOf is what HTTP says of a file.
func metaOf(name string) bucket.Meta {
	switch {
	case strings.HasSuffix(name, playlistSuffix):
		return bucket.Meta{ContentType: "application/vnd.apple.mpegurl", CacheControl: cacheNever}
	case strings.HasSuffix(name, ".json"):
		return bucket.Meta{ContentType: "application/json", CacheControl: cacheNever}
	case strings.HasPrefix(name, "a"):
		return bucket.Meta{ContentType: "audio/mp4", CacheControl: cacheForever}
	}
	return bucket.Meta{ContentType: "video/mp4", CacheControl: cacheForever}
}

// worker stores files in buckets until the Recorder is closed.
func (r *Recorder) worker() {
	for {
		r.mu.Lock()
		do, wait := r.assign(time.Now())
		changed, closed := r.changed, r.closed
		r.mu.Unlock()
		switch {
		case closed:
			return
		case do != nil:
			do()
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// assign returns what a worker is to do, or for how long to wait for something. The caller holds
// mu.
func (r *Recorder) assign(now time.Time) (do func(), wait time.Duration) {
	wait = time.Hour
	all := r.opened()
	for i := range all {
		rec := all[(r.turn+i)%len(all)]
		if now.Before(rec.retry) {
			wait = min(wait, rec.retry.Sub(now))
			continue
		}
		switch {
		case len(rec.pending) > 0 && rec.busy < perRecording:
			f := rec.pending[0]
			rec.pending = rec.pending[1:]
			rec.busy++
			do = func() { r.upload(rec, f) }
		case rec.publishing || rec.busy > 0 && rec.closing:
			continue
		case rec.closing && len(rec.pending) == 0 && rec.jobs == 0:
			do = r.publication(rec, true)
		case rec.flush && !rec.closing:
			do = r.publication(rec, false)
		}
		if do != nil {
			r.turn = (r.turn + i + 1) % len(all)
			return do, 0
		}
	}
	return nil, wait
}

// upload stores one file.
func (r *Recorder) upload(rec *recording, f *object) {
	begin := time.Now()
	err := r.send(rec, f)
	r.mu.Lock()
	defer r.mu.Unlock()
	rec.busy--
	switch {
	case err == nil:
		f.state = stored
		r.stats.Stored++
		r.stats.Bytes += int64(f.size)
		r.stats.Took += time.Since(begin)
		r.settle(rec, nil)
		r.unspool(rec, f)
	case errors.Is(err, errDamaged), errors.Is(err, bucket.ErrNotFound) && f.unsure:
		rec.log.Error("a file of a recording is lost", "file", f.name, "err", err)
		f.state = lost
		r.stats.Lost++
		r.unspool(rec, f)
	default:
		rec.pending = append([]*object{f}, rec.pending...)
		r.settle(rec, err)
		r.trim()
	}
	r.wake()
}

// settle notes how a call to a bucket ended. The caller holds mu.
func (r *Recorder) settle(rec *recording, err error) {
	if err == nil {
		rec.fails, rec.retry = 0, time.Time{}
		return
	}
	if r.closed {
		return
	}
	r.stats.Failed++
	rec.fails++
	wait := min(maxRetry, minRetry<<min(rec.fails-1, 5))
	rec.retry = time.Now().Add(wait/2 + rand.N(wait/2))
	r.report(&r.far, err, "recordings wait for their place, the live stream goes on: see to what record_to names")
}

// send stores a file that is on the local disk, and removes it there.
func (r *Recorder) send(rec *recording, f *object) error {
	name := rec.Name + "/" + f.name
	if f.unsure {
		size, err := rec.bucket.Stat(r.ctx, name)
		if err == nil && size != int64(f.size) {
			err = fmt.Errorf("%w: it has %d bytes of %d", errDamaged, size, f.size)
		}
		return err
	}
	path := rec.path(f)
	if time.Since(f.written) > trusted {
		if err := intact(path, f); err != nil {
			return err
		}
	}
	if err := rec.bucket.Put(r.ctx, name, path, metaOf(f.name)); err != nil {
		return cmp.Or(intact(path, f), err)
	}
	_ = os.Remove(path) // if it stays, it goes with the folder
	return nil
}

// trusted is for how long what was written is what is read: from memory, where it was put. Reading
// it to see that costs as much as writing it.
const trusted = 10 * time.Second

// intact says whether a file on the local disk is what was written.
func intact(path string, f *object) error {
	in, err := os.Open(path)
	if err != nil {
		return errors.Join(errDamaged, err)
	}
	defer in.Close()
	sum := crc32.New(castagnoli())
	n, err := io.Copy(sum, in)
	if err != nil || n != int64(f.size) || sum.Sum32() != f.sum {
		return errors.Join(errDamaged, err)
	}
	return nil
}

// publication returns what writes the playlists of a recording, with their end if it is the last
// time. The caller holds mu.
func (r *Recorder) publication(rec *recording, last bool) func() {
	t := &rec.timeline
	t.advance(last || rec.life == nil && rec.jobs == 0)
	rec.flush, rec.publishing = false, true
	all, listed := t.playlists(last), t.listed
	rec.Recording = rec.snapshot()
	if last || rec.Ended.IsZero() || listed > rec.shown {
		rec.Ended = time.Now().UTC()
	}
	about := rec.Recording
	if last {
		if about.State = Complete; len(all) == 0 {
			about.State, about.Reason = Broken, "no segment was stored"
		}
	}
	return func() {
		err := rec.show(r.ctx, all, about)
		r.mu.Lock()
		rec.publishing, rec.flush = last && err == nil, rec.flush || err != nil && !last
		if r.settle(rec, err); err == nil {
			rec.published, rec.shown = time.Now(), listed
		}
		if last && err == nil {
			rec.Recording = about // only now, as who sees it may delete it
		}
		r.wake()
		r.mu.Unlock()
		if last && err == nil {
			r.complete(rec)
		}
	}
}

// show writes playlists and recording.json.
func (rec *recording) show(ctx context.Context, all []playlist, about Recording) error {
	for _, p := range all {
		if err := rec.bucket.Write(ctx, rec.Name+"/"+p.name, append(p.head[:len(p.head):len(p.head)], p.body...), metaOf(p.name)); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(about, "", "  ")
	if err != nil {
		return err
	}
	return rec.bucket.Write(ctx, rec.Name+"/"+recordingName, append(text, '\n'), metaOf(recordingName))
}
