"""Sending requests: with requests in a worker, with aiohttp in the triggerer."""
