SELECT framework.consume(:cost::bigint, '00000000');
