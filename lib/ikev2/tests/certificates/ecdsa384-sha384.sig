0d0KÐ}~ÁIyôˆž‚cÌgwE2
·n)ƒÙ9ƒ°þ¡zE£e‰ž….™µRÅlthH0TS1˜ë¸©XüŒƒÞÜaå­WÄo)’#iÈ†™ñOrÎ½¡iRßã ˆÉcb¯f