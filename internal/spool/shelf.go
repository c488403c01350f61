package spool

import (
	"cmp"
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
	// inits are the init segments on disk, oldest first; indexes the index files by their first number.
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

// standIn is the gap for the segment after the last one, where the segment until is next to come: with the times of another rendition's
// segment, if there is one. Else it is as long as the last one, or shorter if until follows sooner by the clock of the day.
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
	s.bytes += fileCost(size)
	s.listedBytes += fileCost(size)
}

// push adds a segment as the newest of all. The caller holds mu.
func (s *Store) push(sh *shelf, e Segment) {
	e.stored = s.now()
	if sh.list.len() == 0 {
		sh.listed, sh.settled = e.Seq, e.Seq
	}
	sh.list.push(e)
	s.order = append(s.order, sh)
	s.bytes += e.cost()
	s.listedBytes += e.cost()
}

// blank makes a segment that has no file a gap. The caller holds mu.
func (s *Store) blank(sh *shelf, e *Segment) {
	saved := e.cost()
	e.Gap, e.Size, e.Key = true, 0, 0
	saved -= e.cost()
	s.bytes -= saved
	if e.Seq >= sh.listed {
		s.listedBytes -= saved
	}
	s.lost++
}

// unlist takes what is too old or too much out of the windows. The caller holds mu.
func (s *Store) unlist(now int64) {
	most := s.opt.MaxBytes - s.opt.MaxBytes/spareShare
	for s.unlisted < len(s.order) {
		sh := s.order[s.unlisted]
		old := sh.list.at(sh.listed).stored+int64(s.opt.Window) < now
		if !old && s.listedBytes <= most {
			return
		}
		s.unlistNext()
	}
}

func (s *Store) unlistNext() {
	sh := s.order[s.unlisted]
	s.listedBytes -= sh.list.at(sh.listed).cost()
	sh.listed++
	s.unlisted++
}

// due says whether the oldest segment of all must go. The caller holds mu.
func (s *Store) due(now int64) bool {
	if len(s.order) == 0 {
		return false
	}
	sh := s.order[0]
	until := sh.list.at(sh.list.first).stored + int64(s.opt.Window+keepUnlisted)
	return until < now || s.bytes > s.opt.MaxBytes || len(s.order) > maxSegments
}

// evict lets the oldest segment of all go and appends to paths what is to be removed. The caller holds mu and is the writer.
func (s *Store) evict(paths []string) []string {
	if s.unlisted == 0 {
		s.unlistNext()
	}
	sh := s.order[0]
	s.order[0] = nil
	s.order = s.order[1:]
	s.unlisted--

	e := sh.list.at(sh.list.first)
	s.bytes -= e.cost()
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
		s.bytes -= fileCost(sh.inits[0].size)
		s.listedBytes -= fileCost(sh.inits[0].size)
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
	if st.life != nil || len(st.shelves) > 0 || s.streams[key] != st {
		return false
	}
	delete(s.streams, key)
	return true
}
