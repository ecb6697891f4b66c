package dlmanager

// Who asks for a file with Get may leave before it is there. The manager counts
// those who wait for a download (callers), and when the last one leaves, it is
// interrupted. A download that somebody has from Download is wanted until it is done,
// and is not counted; to see it in a hook or in Downloads is not to want it.

// attend is Download for a caller who may leave; until then, or the end of the
// download, it is wanted. leave also takes the caller's progress function off it.
func (m *DownloadManager) attend(url, name string, opts []DownloadOption) (d *Download, leave func()) {
	own := m.newDownload(url, opts)
	progress := own.cfg.progress
	own.SetProgress(nil)
	stop := own.OnProgress(progress)
	d = m.start(own, name, true)
	if d != own && progress != nil {
		stop = d.OnProgress(progress)
	}
	return d, func() {
		stop()
		m.detach(d)
	}
}

// want counts who asks for a download that is in flight. It needs mu.
func (m *DownloadManager) want(d *Download, mayLeave bool) {
	n, counted := m.callers[d]
	switch {
	case !mayLeave:
		delete(m.callers, d)
	case counted:
		m.callers[d] = n + 1
	}
}

// detach is told that a caller leaves. Under mu nobody joins between the last
// one's leaving and the interruption, and nobody joins after it: the next one
// waits for the end, and goes on with what was kept.
func (m *DownloadManager) detach(d *Download) {
	m.mu.Lock()
	n, counted := m.callers[d]
	if !counted { // it is over, or somebody has it for good
		m.mu.Unlock()
		return
	}
	if n > 1 {
		m.callers[d] = n - 1
		m.mu.Unlock()
		return
	}
	delete(m.callers, d)
	abort := d.decide(ErrInterrupted)
	m.mu.Unlock()
	abort()
}
