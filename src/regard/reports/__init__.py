"""Reports as HTML pages: on several systems (`compare`), on one or two runs (`analyze`), on a corpus (`corpus`)."""
