"""The MCP clients of this machine: where they keep their servers, what is wrong with those, and the way back.

What stands in a client's file is data of unknown origin: it is read once, bounded, and nothing in it is
expanded, resolved or run.
"""
