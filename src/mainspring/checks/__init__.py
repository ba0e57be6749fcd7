"""Is a version fit to be released?"""
