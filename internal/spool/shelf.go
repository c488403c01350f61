package spool

import (
	"cmp"
	"math"
	"path/filepath"
	"slices"
	"time"
)

// shelf is the stored segments of one rendition. The store's mu guards it.
type shelf struct {
	stream     *stream
	id, folder string
	list       list
	// From listed on segments are in the window. Those before settled do not change any more.
	listed, settled int64
	// inits are the init segments on disk, oldest first; indexes the index files by their first
	// number.
	inits   []initFile
	indexes []int64

	// index is where the next record goes. Only the writer uses it.
	index indexEnd
}

type initFile struct{ seq, size int64 }

// indexEnd is the end of the index file under way.
type indexEnd struct {
	path    string
	offset  int64
	records int
	// unsaved records could not be written and go with the next one.
	unsaved []byte
}

func newShelf(st *stream, id string) *shelf {
	return newShelfIn(st, folder(renditionPrefix, id))
}

// newShelfIn makes a shelf by the name of its folder.
func newShelfIn(st *stream, name string) *shelf {
	return &shelf{stream: st, id: name, folder: filepath.Join(st.folder, name)}
}

// minGap is the length of a gap for which there is no time: players refuse 0.
const minGap = time.Millisecond

// standIn is the gap for the segment after the last one, where the segment until is next to come:
// with the times of another rendition's segment, if there is one. Else it is as long as the last
// one, or shorter if until follows sooner by the clock of the day.
func (sh *shelf) standIn(until *Segment) Segment {
	gap := sh.list.at(sh.list.end - 1).following()
	for _, other := range sh.stream.shelves {
		if e := other.list.at(gap.Seq); e != nil && other != sh {
			blank := e.blank(gap.Seq)
			blank.Init = gap.Init
			return blank
		}
	}
	if gap.At != 0 && until.At != 0 {
		room := time.Duration((until.At - gap.At) / (until.Seq - gap.Seq))
		gap.Duration = min(gap.Duration, max(minGap, room.Truncate(time.Millisecond)))
	}
	return gap
}

func (sh *shelf) initSize(seq int64) (int64, bool) {
	i, found := sh.findInit(seq)
	if !found {
		return 0, false
	}
	return sh.inits[i].size, true
}

func (sh *shelf) findInit(seq int64) (int, bool) {
	return slices.BinarySearchFunc(sh.inits, seq, func(f initFile, seq int64) int { return cmp.Compare(f.seq, seq) })
}

// addInit notes an init segment on disk. The caller holds mu.
func (s *Store) addInit(sh *shelf, seq, size int64) {
	i, _ := sh.findInit(seq)
	sh.inits = slices.Insert(sh.inits, i, initFile{seq, size})
	s.charge(sh.stream, fileCost(size))
	s.chargeListed(sh.stream, fileCost(size))
}

// charge counts bytes of a stream, and chargeListed those that are listed. The caller holds mu.
func (s *Store) charge(st *stream, bytes int64) {
	s.bytes += bytes
	st.bytes += bytes
}

func (s *Store) chargeListed(st *stream, bytes int64) {
	s.listedBytes += bytes
	st.listedBytes += bytes
}

// push adds a segment as the newest of all. The caller holds mu.
func (s *Store) push(sh *shelf, e Segment) {
	e.stored = s.now()
	if sh.list.len() == 0 {
		sh.listed, sh.settled = e.Seq, e.Seq
	}
	sh.list.push(e)
	st := sh.stream
	st.order = append(st.order, sh)
	s.segments++
	s.charge(st, e.cost())
	s.chargeListed(st, e.cost())
	s.unlistAt = min(s.unlistAt, e.stored+int64(s.opt.Window))
	s.evictAt = min(s.evictAt, e.stored+int64(s.opt.Window+keepUnlisted))
	s.unlistLead(st)
}

// listedTargets is how many target durations a playlist lasts at least when a segment leaves it
// (RFC 8216bis 6.2.2).
const listedTargets = 3

// unlistLead takes gaps that stand before all media of a stream out of the windows, as soon as that
// may be. The caller holds mu.
func (s *Store) unlistLead(st *stream) {
	for st.unlisted < len(st.order) {
		sh := st.order[st.unlisted]
		e := sh.list.at(sh.listed)
		if !e.leads() || !sh.lasts(e.Seq+1, listedTargets*time.Duration(e.Target)*time.Second) {
			return
		}
		s.unlistNext(st)
	}
}

// lasts says that what is stored from a number on lasts so long.
func (sh *shelf) lasts(seq int64, least time.Duration) bool {
	for ; seq < sh.list.end && least > 0; seq++ {
		least -= sh.list.at(seq).Duration
	}
	return least <= 0
}

// blank makes a segment that has no file a gap. The caller holds mu.
func (s *Store) blank(sh *shelf, e *Segment) {
	saved := e.cost()
	e.Gap, e.Size, e.Key = true, 0, 0
	saved -= e.cost()
	s.charge(sh.stream, -saved)
	if e.Seq >= sh.listed {
		s.chargeListed(sh.stream, -saved)
	}
	s.lost++
}

// unlist takes what is too old or too much out of the windows. The caller holds mu.
func (s *Store) unlist(now int64) {
	if s.unlistAt < now {
		s.unlistAt = math.MaxInt64
		for _, st := range s.streams {
			s.unlistOld(st, now)
		}
	}
	for most := s.opt.MaxBytes - s.opt.MaxBytes/spareShare; s.listedBytes > most; {
		st := s.largest(func(st *stream) int64 {
			if st.unlisted == len(st.order) {
				return 0
			}
			return st.listedBytes
		})
		if st == nil {
			return
		}
		s.unlistNext(st)
	}
}

// unlistOld takes what is too old out of a stream's windows.
func (s *Store) unlistOld(st *stream, now int64) {
	for st.unlisted < len(st.order) {
		if due := st.nextStored() + int64(s.opt.Window); due >= now {
			s.unlistAt = min(s.unlistAt, due)
			return
		}
		s.unlistNext(st)
	}
}

// nextStored is when the oldest segment that is listed came.
func (st *stream) nextStored() int64 {
	sh := st.order[st.unlisted]
	return sh.list.at(sh.listed).stored
}

func (s *Store) unlistNext(st *stream) {
	sh := st.order[st.unlisted]
	s.chargeListed(st, -sh.list.at(sh.listed).cost())
	sh.listed++
	st.unlisted++
}

// largest returns the stream of which size is largest, nil if there is none above 0.
func (s *Store) largest(size func(*stream) int64) (largest *stream) {
	most := int64(0)
	for _, st := range s.streams {
		if n := size(st); n > most {
			largest, most = st, n
		}
	}
	return largest
}

// due returns a stream whose oldest segment must go, nil if there is none. The caller holds mu.
func (s *Store) due(now int64) *stream {
	switch {
	case s.bytes > s.opt.MaxBytes:
		return s.largest(func(st *stream) int64 {
			if len(st.order) == 0 {
				return 0
			}
			return st.bytes
		})
	case s.segments > maxSegments:
		return s.largest(func(st *stream) int64 { return int64(len(st.order)) })
	case s.evictAt >= now:
		return nil
	}
	var oldest *stream
	s.evictAt = math.MaxInt64
	for _, st := range s.streams {
		if len(st.order) > 0 && s.evictDue(st) < s.evictAt {
			oldest, s.evictAt = st, s.evictDue(st)
		}
	}
	if s.evictAt >= now {
		return nil
	}
	return oldest
}

// evictDue is when a stream's oldest segment must go.
func (s *Store) evictDue(st *stream) int64 {
	sh := st.order[0]
	return sh.list.at(sh.list.first).stored + int64(s.opt.Window+keepUnlisted)
}

// evict lets the oldest segment of a stream go and appends to paths what is to be removed. The
// caller holds mu and is the writer.
func (s *Store) evict(st *stream, paths []string) []string {
	if st.unlisted == 0 {
		s.unlistNext(st)
	}
	sh := st.order[0]
	st.order[0] = nil
	st.order = st.order[1:]
	st.unlisted--
	s.segments--

	e := sh.list.at(sh.list.first)
	s.charge(st, -e.cost())
	if e.written {
		paths = append(paths, fileName(sh.folder, e.Seq, segmentSuffix))
	}
	sh.list.pop()
	sh.settled = max(sh.settled, sh.list.first)
	return s.evictRest(sh, paths)
}

// evictRest appends what no segment of the shelf needs any more.
func (s *Store) evictRest(sh *shelf, paths []string) []string {
	rest := sh.list.at(sh.list.first)
	for len(sh.inits) > 0 && (rest == nil || len(sh.inits) > 1 && sh.inits[1].seq <= rest.Init) {
		paths = append(paths, fileName(sh.folder, sh.inits[0].seq, initSuffix))
		s.charge(sh.stream, -fileCost(sh.inits[0].size))
		s.chargeListed(sh.stream, -fileCost(sh.inits[0].size))
		sh.inits = sh.inits[1:]
	}
	for len(sh.indexes) > 0 && (rest == nil || len(sh.indexes) > 1 && sh.indexes[1] <= rest.Seq) {
		paths = append(paths, fileName(sh.folder, sh.indexes[0], indexSuffix))
		sh.indexes = slices.Delete(sh.indexes, 0, 1)
	}
	if rest != nil {
		return paths
	}
	sh.index = indexEnd{}
	if sh.stream.shelves[sh.id] == sh {
		delete(sh.stream.shelves, sh.id)
	}
	paths = append(paths, sh.folder)
	if !s.forget(sh.stream) {
		return paths
	}
	return append(paths, filepath.Join(sh.stream.folder, reserveFile), sh.stream.folder)
}

// forget lets go of a stream that is off the air and has nothing, and says whether it did.
func (s *Store) forget(st *stream) bool {
	key := filepath.Base(st.folder)
	if st.life != nil || len(st.shelves) > 0 || len(st.order) > 0 || s.streams[key] != st {
		return false
	}
	delete(s.streams, key)
	return true
}
