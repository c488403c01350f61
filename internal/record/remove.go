package record

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// sweep deletes recordings that are too old.
func (r *Recorder) sweep(now time.Time) {
	if r.opt.Keep <= 0 {
		return
	}
	var old []*entry
	r.mu.Lock()
	for _, e := range r.done {
		if now.Sub(e.Ended) >= r.opt.Keep {
			old = append(old, e)
		}
	}
	r.mu.Unlock()
	for _, e := range old {
		if err := r.discard(e); err != nil {
			r.mu.Lock()
			r.report(&r.disk, err, "old recordings are not deleted: see to the disk of data_dir")
			r.mu.Unlock()
			return
		}
		r.log.Info("recording is deleted, as it is older than record_keep", "stream", e.Stream, "recording", e.ID)
	}
}

// discard puts a recording in line for removal.
func (r *Recorder) discard(e *entry) error {
	gone := *e
	gone.State = deleting
	if err := gone.save(r.folder(e.ID)); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done[e.ID] != e {
		return ErrNotFound // it is in line already
	}
	delete(r.done, e.ID)
	r.removed = append(r.removed, &gone)
	r.wake()
	return nil
}

// remover removes the files of recordings until the Recorder is closed.
func (r *Recorder) remover() {
	for fails := 0; ; {
		r.mu.Lock()
		var e *entry
		if len(r.removed) > 0 {
			e = r.removed[0]
		}
		changed, closed := r.changed, r.closed
		r.mu.Unlock()
		if closed {
			return
		}
		if e == nil {
			<-changed
			continue
		}
		err := r.remove(r.ctx, e)
		r.mu.Lock()
		r.removed = r.removed[1:]
		if err != nil {
			r.removed = append(r.removed, e)
			r.report(&r.far, err, "recordings that were deleted stay for now: see to what record_to names")
		}
		r.mu.Unlock()
		if fails++; err == nil {
			fails = 0
			continue
		}
		select {
		case <-time.After(min(maxRetry, minRetry<<min(fails-1, 5))):
		case <-r.ctx.Done():
		}
	}
}

// remove removes what a recording has, and nothing that it did not make.
func (r *Recorder) remove(ctx context.Context, e *entry) error {
	r.mu.Lock()
	b, err := r.bucketAt(e.To)
	r.mu.Unlock()
	if err != nil {
		return err
	}
	last := []string{e.Name + "/" + indexName, e.Name + "/" + recordingName}
	for _, rendition := range e.Renditions {
		folder := e.Name + "/" + rendition.ID
		names, err := b.List(ctx, folder)
		if err != nil {
			return err
		}
		files := make([]string, 0, len(names))
		for _, name := range names {
			if ext := filepath.Ext(name); ext == segmentSuffix || ext == initSuffix {
				files = append(files, folder+"/"+name)
			}
		}
		if err := b.Remove(ctx, files...); err != nil {
			return err
		}
		last = append(last, folder+playlistSuffix)
	}
	if err := b.Remove(ctx, last...); err != nil {
		return err
	}
	return os.RemoveAll(r.folder(e.ID))
}
