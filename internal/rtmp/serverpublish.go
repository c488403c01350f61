package rtmp

import (
	"context"
	"fmt"
)

// publication is what one message stream of a connection publishes.
type publication struct {
	request *PublishRequest
	// name is the publishing name as the client sent it.
	name string
	to   Publication
}

func (c *serverConn) onPublish(ctx context.Context, cmd command) error {
	id := cmd.streamID
	if len(cmd.args) > 0 && cmd.args[0] == false { // how Flash unpublishes
		return c.closeStream(id, true)
	}
	if c.playback != nil {
		return c.send(appendStatus(nil, id, levelError, CodePublishDenied, "This connection plays."))
	}
	if before := c.publications[id]; before != nil {
		return c.publishAgain(before, cmd.str(0))
	}
	if len(c.publications) >= maxPublications {
		return &refusal{streamID: id, err: &StatusError{Code: CodePublishDenied, Description: fmt.Sprintf("More than %d streams on one connection.", maxPublications)}}
	}
	p := &publication{name: cmd.str(0)}
	if len(p.name) > maxText {
		return &refusal{streamID: id, err: &StatusError{Code: CodePublishBadName, Description: errLongName}}
	}
	name, query := splitQuery(p.name)
	p.request = &PublishRequest{ConnectRequest: c.connect, StreamID: id, Name: name, Query: query, Type: cmd.str(1)}
	to, err := c.handler.Publish(ctx, p.request)
	if err != nil {
		return &refusal{streamID: id, err: asStatus(err, "NetStream.Failed")}
	}
	p.to = to
	c.publications[id] = p
	if c.rest == nil {
		c.rest = newRest(c.nc)
	}
	c.noteRest()
	c.in.allowMedia(c.opt.MaxMessageSize)
	c.extendRead()
	return c.send(c.appendPublishing(nil, p))
}

// errLongName is what clients hear whose name has more than maxText bytes.
const errLongName = "The stream name is too long."

// publishAgain answers a publish on a message stream that publishes: as before if it says the same,
// else with an error. What is on air goes on.
func (c *serverConn) publishAgain(p *publication, name string) error {
	if name == p.name {
		return c.send(c.appendPublishing(nil, p))
	}
	return c.send(appendStatus(nil, p.request.StreamID, levelError, CodePublishBadName, "This message stream publishes already."))
}

// appendPublishing appends the answer to an accepted publish (§7.3.1).
func (c *serverConn) appendPublishing(dst []byte, p *publication) []byte {
	id := p.request.StreamID
	dst = appendUserControl(dst, eventStreamBegin, id)
	if c.fcPublish {
		info := information(levelStatus, "NetStream.Publish.Start", "Publishing.") // the name is a secret, and encoders log this
		dst = appendCommand(dst, Format{}, "onFCPublish", 0.0, nil, info)
	}
	return appendStatus(dst, id, levelStatus, "NetStream.Publish.Start", "Publishing.")
}

// media passes a message to its publication. Messages for other streams are dropped.
func (c *serverConn) media(m Message) error {
	p := c.publicationOf(m.StreamID)
	if p == nil {
		if !c.stray {
			c.stray = true
			c.handler.Stray(m.StreamID, m.Type)
		}
		return nil
	}
	c.extendByMessage()
	c.rest.hear()
	if err := p.to.Message(m); err != nil {
		return &refusal{streamID: p.request.StreamID, err: err}
	}
	return nil
}

// publicationOf returns the publication of a message stream, nil if there is none. Stream 0 means
// the only one, on either side: some encoders put their metadata there, and others publish there.
func (c *serverConn) publicationOf(id uint32) *publication {
	if p := c.publications[id]; p != nil || len(c.publications) != 1 {
		return p
	}
	for its, p := range c.publications {
		if id == 0 || its == 0 {
			return p
		}
	}
	return nil
}

// onFCUnpublish ends the publication of that name. The only one is meant whatever the name.
func (c *serverConn) onFCUnpublish(cmd command) error {
	name := cmd.str(0)
	for id, p := range c.publications {
		if p.name != name && p.request.Name != name && len(c.publications) > 1 {
			continue
		}
		c.unpublish(id, ErrUnpublished)
		info := information(levelStatus, "NetStream.Unpublish.Success", "Unpublished.")
		b := appendCommand(nil, Format{}, "onFCUnpublish", 0.0, nil, info)
		if cmd.transaction != 0 {
			b = appendResult(b, cmd.transaction, nil)
		}
		return c.send(appendUnpublished(b, id))
	}
	return c.answer(cmd, nil)
}

// closeStream ends what a message stream publishes or plays.
func (c *serverConn) closeStream(id uint32, tell bool) error {
	if c.playback != nil && c.playback.request.StreamID == id {
		return c.stopPlayback(ErrStopped)
	}
	if c.publications[id] == nil {
		return nil
	}
	c.unpublish(id, ErrUnpublished)
	if !tell {
		return nil
	}
	return c.send(appendUnpublished(nil, id))
}

// unpublish ends a publication. The client may publish again.
func (c *serverConn) unpublish(id uint32, cause error) {
	p := c.publications[id]
	delete(c.publications, id)
	c.noteRest()
	p.to.Close(cause)
	c.extendRead()
}

func appendUnpublished(dst []byte, id uint32) []byte {
	return appendStatus(dst, id, levelStatus, "NetStream.Unpublish.Success", "Unpublished.")
}
