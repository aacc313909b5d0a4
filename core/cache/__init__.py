"""Keep what is asked for again: `enhanced_cache` for application code, and the parts of the cache plugin.

Code that wants to remember values imports the two names from here; plugins/cache uses the other modules.
"""

from core.cache.enhanced_cache import EnhancedCache

__all__ = ["EnhancedCache", "enhanced_cache"]

enhanced_cache = EnhancedCache()  # of this process
