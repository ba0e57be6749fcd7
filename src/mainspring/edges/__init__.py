"""Command line, HTTP, web page, gateway: parse, call, render; they decide nothing."""
