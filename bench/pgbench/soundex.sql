SELECT soundex('a');
