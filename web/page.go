package web

import (
	"net/http"
	"slices"
)

// Page is what people are shown who come with a browser.
type Page interface {
	// Serves tells whether a path is one of the page's files.
	Serves(path string) bool
	// Serve answers a GET or HEAD for such a path. connect are the origins of servers that the
	// page may ask besides the one that it is from; those of ws and wss, only over WebSockets.
	Serve(w http.ResponseWriter, r *http.Request, connect []string)
}

// page answers for the page's files (H-130). Who follows a link to it may bring parameters
// along, which mean nothing; its files have none.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	label(w, "page")
	if !reading(w, r) || r.URL.Path != "/" && !noQuery(w, r) {
		return
	}
	connect := s.config.Origins
	if v := s.root(); v != nil {
		connect = v.origins()
	}
	connect = append(slices.Clone(connect), sockets(s.offered().Addresses)...)
	s.config.Page.Serve(w, r, connect)
}
