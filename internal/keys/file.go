package keys

import "errors"

// OpenFile opens or makes the file at path and its folder.
func OpenFile(path string, o Options) (Store, error) { return nil, errors.New("not there yet") }
