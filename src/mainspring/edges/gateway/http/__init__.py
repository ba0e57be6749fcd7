"""HTTP/1.1 as the gateway speaks it: heads read by llhttp, everything on the thread of the event loop."""
