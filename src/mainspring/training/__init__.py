"""Making the next version: frames, splits, workers, backtests."""
