"""Ports and sockets of one computer, reached on the other; the engine keeps them open.

A file per direction. A forward lives as long as the engine, not as the terminal that asked for it;
each connection through it is a channel of the Line.
"""
