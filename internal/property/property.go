// Package property is for tests that draw values (rapid): it has them draw the same in each run.
package property

import (
	"flag"
	"os"
)

// Random is the environment variable that, if not empty, has other values drawn in each run.
const Random = "LIVEGO_RANDOM_DRAWS"

// seed is any but 0, which stands for a random one.
const seed = "1"

// Fix has tests draw the same in each run, so that what has passed passes again. TestMain calls it,
// before flags are parsed. `make fuzz` draws others, and -rapid.seed asks for some.
func Fix() {
	if os.Getenv(Random) == "" {
		_ = flag.Set("rapid.seed", seed) // it is a number, and defined by who draws
	}
}
